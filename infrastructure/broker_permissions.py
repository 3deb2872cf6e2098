"""What each service may do on the broker: RabbitMQ's three regular expressions, in terms of the names it declares.

Declaring needs `configure`; publishing to an exchange, binding a queue and dead-lettering through an exchange need
`write` on it; consuming from a queue and binding to an exchange need `read`. A queue with a dead-letter exchange needs
`read` on itself when it is declared. The default exchange is called `amq.default` here.
"""

import re
from dataclasses import dataclass

OPERATOR = "operator"
RPC_EXCHANGE = "nameko-rpc"
DEFAULT_EXCHANGE = "amq.default"
POSITIONS = "positions"
MOVES = r"bike_service\.moves"
# Where MQTT's messages come in. Who publishes positions binds their exchange to it, and so needs `read` on it.
MQTT_EXCHANGE = "amq.topic"
# Gateway and services alike declare these, so that an accepted position always has a queue to wait in.
POSITION_QUEUES = r"(bike|trip)_service\.positions(\.dead)?"


@dataclass(frozen=True)
class Permissions:
    """Each is a regular expression that a name must match as a whole."""

    configure: str
    write: str
    read: str

    def as_dict(self) -> dict[str, str]:
        """As RabbitMQ's API and definitions name them."""
        return {"configure": self.configure, "write": self.write, "read": self.read}


@dataclass(frozen=True)
class Use:
    """What a service does: answers RPC, calls others by RPC, publishes events, publishes positions, handles events.

    `moves`: says where bikes have moved to. `hears`: whose events each of its processes listens to, beside all moves
    (`shared.listener`).
    """

    serves: bool = False
    calls: bool = False
    dispatches: bool = False
    reports: bool = False
    moves: bool = False
    handles: tuple[str, ...] = ()
    hears: tuple[str, ...] = ()


USES = {
    "gateway_service": Use(calls=True, reports=True, hears=("bike_service", "trip_service")),
    "bike_service": Use(serves=True, dispatches=True, moves=True, handles=("trip_service",)),
    "trip_service": Use(serves=True, calls=True, dispatches=True),
}


def permissions(user: str) -> Permissions:
    """Of a service, or of the operator, who may do everything. Raises KeyError for anybody else."""
    if user == OPERATOR:
        return Permissions(".*", ".*", ".*")
    use = USES[user]
    queues = [POSITION_QUEUES]
    if use.serves:
        queues.append(re.escape(f"rpc-{user}"))
    if use.calls:
        queues.append(rf"rpc\.reply-{user}-[0-9a-f-]+")
    queues += [rf"evt-{source}-[a-z_]+--{user}\.[a-z_]+(\.dead|\.retry\.[0-9]+s)?" for source in use.handles]
    if use.hears:
        queues.append(rf"listener-{user}-[0-9a-f-]+(\.lost)?")
    own = [rf"{user}\.events"] * use.dispatches + [MOVES] * use.moves
    others = [rf"{source}\.events" for source in (*use.handles, *use.hears)] + [MOVES] * bool(use.hears)
    return Permissions(
        configure=_any(RPC_EXCHANGE, POSITIONS, *own, *others, *queues),
        write=_any(RPC_EXCHANGE, re.escape(DEFAULT_EXCHANGE), *own, *[POSITIONS] * use.reports, *queues),
        read=_any(RPC_EXCHANGE, POSITIONS, *[re.escape(MQTT_EXCHANGE)] * use.reports, *others, *queues),
    )


def _any(*patterns: str) -> str:
    return f"^({'|'.join(patterns)})$"
