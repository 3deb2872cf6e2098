"""The simulated bikes: where each is, its battery, and whether somebody rides it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from replay.distance import path_m
from replay.fleet import Place
from replay.ride import Position, row

# a full battery lasts about 50 km; an empty one is changed on the spot
PERCENT_PER_M = 100 / 50_000
EMPTY_PERCENT = 5.0


@dataclass
class Bike:
    """`is_alone`: it reports by itself, not through the platform. Only who rides it changes the rest."""

    id: str
    place: Place
    is_alone: bool = False
    battery_percent: float = 100.0
    is_ridden: bool = False

    def moved(self, position: Position) -> dict[str, Any]:
        """The position as the API takes it, with the charge that is left there."""
        place = (position.longitude, position.latitude)
        self.battery_percent -= PERCENT_PER_M * path_m([self.place, place])
        if self.battery_percent < EMPTY_PERCENT:
            self.battery_percent = 100.0
        self.place = place
        return {**row(position), "battery_percent": round(self.battery_percent)}


class Fleet:
    """Bikes by id."""

    def __init__(self, bikes: Iterable[Bike]) -> None:
        self._bikes = {bike.id: bike for bike in bikes}

    def __len__(self) -> int:
        return len(self._bikes)

    def __iter__(self) -> Iterator[Bike]:
        return iter(self._bikes.values())

    def get(self, bike_id: str) -> Bike | None:
        """None for one that is not ours."""
        return self._bikes.get(bike_id)


def standing(bike: Bike) -> Position:
    """Where it stands now."""
    return Position(datetime.now(UTC), *bike.place)
