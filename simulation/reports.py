"""How positions get in: a few bikes report alone, over HTTP or MQTT, most through a platform that sends batches."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from replay.client import OPERATOR, ApiError, Caller, Gateway, Stopped, Unavailable
from replay.ride import Position
from simulation.bikes import Bike
from simulation.mqtt import MqttBikes, MqttError
from simulation.tally import OUTCOME, Tally

PLATFORM_EVERY_S = 1.0
MOST_AT_ONCE = 5000
# told of positions that the system has accepted
Accepted = Callable[[list[Position]], None]


class _Waiting(NamedTuple):
    row: dict[str, Any]
    position: Position
    accepted: Accepted


def nobody(positions: list[Position]) -> None:
    """For positions outside of trips."""


class Reports:
    """The doors for positions. `run` is the platform: a thread of its own calls it."""

    def __init__(self, gateway: Gateway, tally: Tally, mqtt: MqttBikes | None = None) -> None:
        self._gateway, self._tally, self._mqtt = gateway, tally, mqtt
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []

    def report(self, bike: Bike, positions: list[Position], accepted: Accepted = nobody) -> None:
        """Sends positions in time order, now or with the platform's next batch. What is refused is counted."""
        if not bike.is_alone:
            self.through_platform(bike, positions, accepted)
            return
        rows = [bike.moved(position) for position in positions]
        if self._sent(partial(self._alone, bike.id, rows), len(rows)):
            accepted(positions)

    def through_platform(self, bike: Bike, positions: list[Position], accepted: Accepted = nobody) -> None:
        """Sends positions in time order with the platform's next batch."""
        rows = [bike.moved(position) for position in positions]
        with self._lock:
            for row, position in zip(rows, positions, strict=True):
                self._waiting.append(_Waiting({"bike_id": bike.id, **row}, position, accepted))

    def parked(self, bike: Bike) -> None:
        """The bike rests: a connection of its own is closed."""
        if self._mqtt is not None and bike.is_alone:
            self._mqtt.leave(bike.id)

    def run(self, over: threading.Event) -> None:
        """Sends what waits, every second, and once more when it is over."""
        while not over.wait(PLATFORM_EVERY_S):
            self.flush()
        self.flush()

    def flush(self) -> None:
        """Sends what waits now."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), MOST_AT_ONCE):
            batch = waiting[start : start + MOST_AT_ONCE]
            if self._sent(partial(self._platform, [each.row for each in batch]), len(batch)):
                for each in batch:
                    each.accepted([each.position])

    def _platform(self, rows: list[dict[str, Any]]) -> None:
        self._gateway.post("/v1/positions", OPERATOR, {"positions": rows})

    def _alone(self, bike_id: str, rows: list[dict[str, Any]]) -> None:
        if self._mqtt is not None:
            self._mqtt.publish(bike_id, {"positions": [{"bike_id": bike_id, **row} for row in rows]})
        else:
            self._gateway.post(f"/v1/bikes/{bike_id}/positions", Caller("vehicle", bike_id), {"positions": rows})

    def _sent(self, send: Callable[[], object], number: int) -> bool:
        try:
            send()
        except (ApiError, Unavailable, MqttError, Stopped):
            self._tally.add(OUTCOME.lost, number)
            return False
        self._tally.add(OUTCOME.positions, number)
        return True
