"""Where bikes have moved to: from the service that has them to whoever shows them, a message for each batch.

Whoever listened to the positions themselves would read, judge and reduce each of them once more, in every process.
Nothing confirms such a message. What may have been lost, with a connection, a process or a broker that takes nothing,
is told of by an empty one (ANEW): whoever keeps a state then fetches it anew.

The connection is of its own: what goes wrong here harms no reply and no event.
"""

import contextlib
import logging
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import amqp
import eventlet
import msgspec
from eventlet.queue import Empty, Full, LightQueue
from kombu import Exchange
from msgspec import Meta
from nameko.extensions import DependencyProvider

from shared.amqp import connection
from shared.compiled_positions import Position
from shared.fields import format_time

log = logging.getLogger(__name__)

EXCHANGE = Exchange("bike_service.moves", type="fanout", durable=True)
# Some 100 kB: a reader does not take more in one piece.
MOVES_AT_ONCE = 500
# Pieces that wait while the broker takes nothing.
MAX_WAITING = 200
CONNECT_LIMIT_S = 10
SEND_LIMIT_S = 20
STOP_LIMIT_S = 0.5
TURN_S = 1.0
MAX_BACKOFF_S = 10.0
ANEW = b"[]"
"""Before this, something may be missing."""

_encode = msgspec.json.Encoder().encode
_TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$"


class Point(TypedDict):
    """GeoJSON (RFC 7946): degrees, the longitude first."""

    type: Literal["Point"]
    coordinates: Annotated[list[float], Meta(min_length=2, max_length=2)]


class Move(TypedDict):
    """The newest position of a bike, or of its charge: times in UTC, per cent, metres per second, metres."""

    bike_id: str
    recorded_at: Annotated[str, Meta(pattern=_TIME)]
    location: Point
    battery_percent: NotRequired[float]
    speed_mps: NotRequired[float]
    accuracy_m: NotRequired[float]


class Moves(DependencyProvider):
    """Injects itself: `tell(positions)` once they are committed."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: LightQueue = LightQueue(MAX_WAITING)
        self._has_lost = False
        self._main: Any = None
        self.is_connected = False

    def start(self) -> None:
        self._main = eventlet.spawn(self._run)

    def stop(self) -> None:
        """End, once a broker that is there has what was told before."""
        with eventlet.Timeout(STOP_LIMIT_S, False):
            while not self._waiting.empty():
                eventlet.sleep(0.01)
        self.kill()

    def kill(self) -> None:
        if self._main is not None:
            self._main.kill()
            self._main = None

    def get_dependency(self, worker_ctx: Any) -> "Moves":
        return self

    def tell(self, positions: Sequence[Position]) -> None:
        """Let everybody know who listens now; waits for nobody."""
        for start in range(0, len(positions), MOVES_AT_ONCE):
            try:
                self._waiting.put_nowait(positions[start : start + MOVES_AT_ONCE])
            except Full:
                self._has_lost = True

    def _run(self) -> None:
        backoff = 0.1
        while True:
            link = connection(self.container.config["AMQP_URI"])
            try:
                with eventlet.Timeout(CONNECT_LIMIT_S, ConnectionError("the broker has gone silent")):
                    transport = link.connect()
                    channel = transport.channel()
                    EXCHANGE(channel).declare()
                backoff, self._has_lost, self.is_connected = 0.1, True, True
                self._send_all(transport, channel)
            except Exception as error:  # also what an odd frame provokes: without this loop nobody hears of a move
                log.warning("cannot tell of moves", extra={"reason": repr(error), "retry_in_s": backoff})
            finally:
                self.is_connected = False
                # Closing politely would wait for a broker that may be gone.
                link.collect()
            eventlet.sleep(backoff)
            backoff = min(backoff * 2, MAX_BACKOFF_S)

    def _send_all(self, transport: Any, channel: Any) -> None:
        """Send what is told, until the connection is lost: raises one of BROKER_ERRORS."""
        while True:
            if self._has_lost:
                self._has_lost = False
                _publish(channel, ANEW)
            with contextlib.suppress(Empty):
                positions = self._waiting.get(timeout=TURN_S)
                _publish(channel, _encode([_move(each) for each in positions]))
            transport.heartbeat_tick()
            # Whether the broker has closed channel or connection is known to who reads.
            with contextlib.suppress(TimeoutError):
                transport.drain_events(timeout=0.001)


def _publish(channel: Any, body: bytes) -> None:
    message = amqp.Message(body, content_type="application/json", content_encoding="utf-8", delivery_mode=1)
    with eventlet.Timeout(SEND_LIMIT_S, ConnectionError("the broker takes nothing")):
        channel.basic_publish(message, exchange=EXCHANGE.name)


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


def time_key(recorded_at: str) -> str:
    """By which times of moves compare: the text of a whole second is before those of its fractions."""
    return recorded_at.rstrip("Z")
