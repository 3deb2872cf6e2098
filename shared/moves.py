"""Where bikes have moved to: from the service that has them to whoever shows them, a message for each batch.

Whoever listened to the positions themselves would read, judge and reduce each of them once more, in every process.
Nothing confirms such a message: what is lost with a connection or a process is what its reader fetches anew.
"""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import msgspec
from kombu import Exchange
from nameko.extensions import DependencyProvider

from shared.amqp import connection
from shared.compiled_positions import Position
from shared.fields import format_time
from shared.publisher import SharedPublisher

EXCHANGE = Exchange("bike_service.moves", type="fanout", durable=True)
# Some 100 kB: a reader does not take more in one piece.
MOVES_AT_ONCE = 500

_encode = msgspec.json.Encoder().encode


class Point(TypedDict):
    """GeoJSON (RFC 7946): degrees, the longitude first."""

    type: str
    coordinates: list[float]


class Move(TypedDict):
    """The newest position of a bike, or of its charge: times in UTC, per cent, metres per second, metres."""

    bike_id: str
    recorded_at: str
    location: Point
    battery_percent: NotRequired[float]
    speed_mps: NotRequired[float]
    accuracy_m: NotRequired[float]


class Moves(DependencyProvider):
    """Injects itself: `tell(positions)` once they are committed."""

    publisher = SharedPublisher()

    def setup(self) -> None:
        with connection(self.container.config["AMQP_URI"]) as conn, conn.channel() as channel:
            EXCHANGE(channel).declare()

    def get_dependency(self, worker_ctx: Any) -> "Moves":
        return self

    def tell(self, positions: Sequence[Position]) -> None:
        """Let everybody know who listens now; waits for nobody."""
        for start in range(0, len(positions), MOVES_AT_ONCE):
            body = _encode([_move(each) for each in positions[start : start + MOVES_AT_ONCE]])
            self.publisher.send(EXCHANGE.name, "", body)


def _move(position: Position) -> Move:
    move: Move = {
        "bike_id": position.bike_id,
        "recorded_at": format_time(position.recorded_at),
        "location": {"type": "Point", "coordinates": [position.longitude, position.latitude]},
    }
    if position.battery_percent is not None:
        move["battery_percent"] = position.battery_percent
    if position.speed_mps is not None:
        move["speed_mps"] = position.speed_mps
    if position.accuracy_m is not None:
        move["accuracy_m"] = position.accuracy_m
    return move
