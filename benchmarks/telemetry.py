"""Positions to report: each bike in turn, times that are all different and grow."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

STEP = dt.timedelta(seconds=1)
# Within a day, so that a run writes to the partitions that a live system writes to.
REACH_BACK = dt.timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Position:
    """`recorded_at` as RFC 3339; degrees, per cent, metres per second, metres."""

    bike_id: str
    recorded_at: str
    longitude: float
    latitude: float
    battery_percent: float = 71.5
    speed_mps: float = 4.2
    accuracy_m: float = 5.1

    def as_json(self) -> str:
        return (
            f'{{"bike_id":"{self.bike_id}","recorded_at":"{self.recorded_at}",'
            f'"location":{{"type":"Point","coordinates":[{self.longitude},{self.latitude}]}},'
            f'"battery_percent":{self.battery_percent},"speed_mps":{self.speed_mps},"accuracy_m":{self.accuracy_m}}}'
        )


def message(positions: Sequence[Position]) -> bytes:
    """The positions as one body, of HTTP or AMQP."""
    return f'{{"positions":[{",".join(position.as_json() for position in positions)}]}}'.encode()


class Reports:
    """Positions of `bikes`; what was taken once does not come again."""

    def __init__(self, bikes: Sequence[str]) -> None:
        self.bikes = bikes
        self._next = dt.datetime.now(dt.UTC) - REACH_BACK
        self._turn = 0

    def take(self, count: int) -> list[Position]:
        """The next `count`; those of one call have times that no other call's have."""
        taken: list[Position] = []
        while len(taken) < count:
            time = self._next.isoformat(timespec="microseconds").replace("+00:00", "Z")
            longitude, latitude = -72.64 + self._turn % 1000 / 1e5, 42.32 + self._turn // 1000 % 1000 / 1e5
            for bike in self.bikes[: count - len(taken)]:
                taken.append(Position(bike, time, round(longitude, 6), round(latitude, 6)))
            self._next += STEP
            self._turn += 1
        return taken
