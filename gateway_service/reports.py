"""Reports of positions that travel together: one message, one confirm, for what bikes send at the same time.

A message costs the broker, two consumers and two databases nearly the same whether it holds one position or fifty, and
thousands of bikes report on their own. Alone, a report waits for nobody; while others wait for their confirm, what
comes meanwhile gathers. Each is answered when the broker has confirmed the message that it is in.

Measured: benchmarks/, workload `positions_single`; docs/performance.md.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

import eventlet
from eventlet.event import Event
from nameko.extensions import DependencyProvider

from shared import compiled_positions, tracing
from shared.batch import REQUEST_ID, REQUEST_IDS
from shared.compiled_positions import Position
from shared.errors import Unavailable
from shared.positions import EXCHANGE, FLEET_KEY, bike_key
from shared.publisher import SharedPublisher

# While one is on its way to the disk, the next can be.
IN_FLIGHT = 2
# Positions in a joined message; a report of more goes alone.
MAX_JOINED = 500
# Characters of the requests' ids, which travel in a header: the broker takes 64 KiB of them.
MAX_IDS = 32_000
CONFIRM_LIMIT_S = 3.0


class Report:
    """Positions that one request has brought, accepted at `timestamp` (Unix time in whole seconds).

    `bike_id`: of the bike that all of them are of, None for those of a fleet.
    """

    __slots__ = ("abandoned", "bike_id", "confirmed", "positions", "request_id", "timestamp")

    def __init__(self, positions: Sequence[Position], timestamp: int, request_id: str, bike_id: str | None) -> None:
        self.positions, self.timestamp, self.request_id, self.bike_id = positions, timestamp, request_id, bike_id
        self.confirmed = Event()
        self.abandoned = False


class Reports(DependencyProvider):
    """Injects `publish(report)`, which returns once the broker has confirmed it.

    It raises Unavailable when the broker is away, refuses it, or has not confirmed it in 3 s.
    """

    publisher = SharedPublisher()

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[Report] = deque()
        self._in_flight = 0

    def get_dependency(self, worker_ctx: Any) -> "Reports":
        return self

    def publish(self, report: Report) -> None:
        """See the class."""
        # A trace goes with its own message.
        if tracing.spans().is_on or len(report.positions) > MAX_JOINED:
            self._send([report])
        elif self._in_flight < IN_FLIGHT:
            self._in_flight += 1
            try:
                self._send([report])
            finally:
                self._next()
        else:
            self._waiting.append(report)
            with eventlet.Timeout(CONFIRM_LIMIT_S, False):
                report.confirmed.wait()
                return
            report.abandoned = True
            raise Unavailable("The broker did not confirm in time.", {"retry_after": 2})

    def _next(self) -> None:
        """One message has been settled: what has gathered meanwhile may go."""
        if self._waiting:
            eventlet.spawn_n(self._send_all)
        else:
            self._in_flight -= 1

    def _send_all(self) -> None:
        """Send what waits, a message after the other; no error leaves it, for nobody would see it."""
        try:
            while batch := self._gather():
                try:
                    self._send(batch)
                except Exception as error:  # it is every caller's of this message
                    for each in batch:
                        each.confirmed.send_exception(error)
                else:
                    for each in batch:
                        each.confirmed.send(None)
        finally:
            self._in_flight -= 1

    def _gather(self) -> list[Report]:
        batch: list[Report] = []
        room, header_room = MAX_JOINED, MAX_IDS
        while self._waiting:
            report = self._waiting[0]
            room -= len(report.positions)
            header_room -= len(report.request_id or "")
            # Age is judged by the message's time, so those that were accepted at another go in another.
            if batch and (min(room, header_room) < 0 or report.timestamp != batch[0].timestamp):
                break
            self._waiting.popleft()
            if not report.abandoned:
                batch.append(report)
        return batch

    def _send(self, batch: Sequence[Report]) -> None:
        first, *others = batch
        with tracing.spans().publishing(EXCHANGE.name) as span:
            self.publisher.publish(
                EXCHANGE.name,
                FLEET_KEY if others or first.bike_id is None else bike_key(first.bike_id),
                compiled_positions.write([position for report in batch for position in report.positions]),
                headers={
                    REQUEST_ID: first.request_id,
                    **({REQUEST_IDS: [report.request_id for report in batch]} if others else {}),
                    **span.headers,
                },
                # A consumer judges age by this time, so that waiting in the queue makes nothing too old.
                timestamp=first.timestamp,
                timeout=CONFIRM_LIMIT_S,
            )
