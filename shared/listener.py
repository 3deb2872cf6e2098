"""All events and moves, for whoever shows them in this process: each process hears each of them.

Nameko's broadcast handlers take one type of event each, a worker for each message, and say nothing of what was missed.
Here one queue of the process's own takes all; it goes with its connection, is bounded, and drops its oldest messages
when this process does not keep up. Whatever may have been missed is told of (`on_gap`).
"""

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import eventlet
from nameko.extensions import SharedExtension

from shared import listener_metrics as metrics
from shared.amqp import HEARTBEAT
from shared.heard import Event, event_of, moves_of
from shared.listener_link import ListenerLink
from shared.moves import ANEW, EXCHANGE, Move

log = logging.getLogger(__name__)

CONNECT_LIMIT_S = 10
MAX_BACKOFF = 2.0
# A queue that overflows does so with every message; those who fetch anew must come to an end.
GAP_PAUSE_S = 1.0
TURN_S = 1.0

OnEvent = Callable[[str, Event], None]
OnMoves = Callable[[list[Move]], None]
OnGap = Callable[[], None]


@dataclass(frozen=True)
class _Subscriber:
    on_event: OnEvent | None
    on_moves: OnMoves | None
    on_gap: OnGap | None


class Listener(SharedExtension):
    """Hands what it hears to the subscribers, in its own greenlet and in the order in which the broker gives it."""

    def __init__(self) -> None:
        super().__init__()
        self._subscribers: list[_Subscriber] = []
        self._main: Any = None
        self._told_at = 0.0
        # Whether whoever tells of moves may have lost some.
        self._is_anew = False
        self.is_connected = False
        self.heard_at = float("-inf")
        """Monotonic time of the last sign of life from the broker, which gives one every few seconds."""

    def subscribe(
        self,
        on_event: OnEvent | None = None,
        on_moves: OnMoves | None = None,
        on_gap: OnGap | None = None,
    ) -> None:
        """Call these from now on; they must be short, must not wait, and do not raise.

        `on_event(type, event)`: the event's payload. `on_moves(moves)`: where bikes have moved to, as bike_service
        has stored it.
        `on_gap()`: before now something may have been missed (the start, a lost connection here or of who
        tells of moves, an overflow). All that
        comes from now on is heard, so a state that is fetched after it is complete with what follows.
        """
        subscriber = _Subscriber(on_event, on_moves, on_gap)
        self._subscribers.append(subscriber)
        if self.is_connected:
            _call(on_gap)

    def start(self) -> None:
        if self._main is None:
            metrics.CONNECTED.set_function(lambda: self.is_connected)
            self._main = eventlet.spawn(self._run)

    def stop(self) -> None:
        if self._main is not None:
            self._main.kill()
            self._main = None

    kill = stop

    def _run(self) -> None:
        backoff = 0.1
        while True:
            link: ListenerLink | None = None
            try:
                with eventlet.Timeout(CONNECT_LIMIT_S, ConnectionError("the broker has gone silent")):
                    link = ListenerLink(self.container.config["AMQP_URI"], self.container.service_name, self._hear)
                self.is_connected, self.heard_at, backoff = True, time.monotonic(), 0.1
                log.info("listening to events and moves")
                self._tell_gap(metrics.CONNECTED_ANEW)
                self._listen(link)
            except Exception as error:  # also what an odd frame provokes: without this loop nothing is heard
                log.warning("lost the broker", extra={"reason": repr(error), "retry_in_s": backoff})
            finally:
                self.is_connected = False
                if link is not None:
                    link.close()
            eventlet.sleep(backoff)
            backoff = min(backoff * 2, MAX_BACKOFF)

    def _listen(self, link: ListenerLink) -> None:
        received = link.bytes_received
        tick_at = time.monotonic() + TURN_S
        while True:
            with contextlib.suppress(TimeoutError):
                link.drain(TURN_S)
            now = time.monotonic()
            if link.bytes_received != received:
                received, self.heard_at = link.bytes_received, now
            elif now - self.heard_at > 2 * HEARTBEAT:
                raise ConnectionError("the broker has gone silent")
            if now >= tick_at:
                tick_at = now + TURN_S
                link.settle()
                link.send_heartbeat()
            if link.has_lost and now >= self._told_at + GAP_PAUSE_S:
                link.forget_loss()
                self._tell_gap(metrics.OVERFLOW)
            if self._is_anew and now >= self._told_at + GAP_PAUSE_S:
                self._is_anew = False
                self._tell_gap(metrics.MOVES_LOST)

    def _hear(self, exchange: str, routing_key: str, body: bytes) -> None:
        if exchange == EXCHANGE.name:
            if body == ANEW:
                self._is_anew = True
                return
            moves = moves_of(body)
            metrics.POSITIONS.inc(len(moves))
            if moves:
                for each in self._subscribers:
                    _call(each.on_moves, moves)
            return
        event = event_of(routing_key, body)
        if event is not None:
            metrics.EVENTS.inc()
            for each in self._subscribers:
                _call(each.on_event, event["type"], event)

    def _tell_gap(self, counted: Any) -> None:
        self._told_at = time.monotonic()
        counted.inc()
        for each in self._subscribers:
            _call(each.on_gap)


def _call(callback: Callable[..., None] | None, *arguments: Any) -> None:
    if callback is None:
        return
    try:
        callback(*arguments)
    except Exception:  # a defect of one subscriber is none of the others'
        log.exception("a subscriber failed")
