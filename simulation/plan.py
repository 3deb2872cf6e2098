"""What riders mean to do, and where bikes stand: decided by the seed alone, never by an answer or the clock."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

from replay.distance import path_m
from replay.fleet import Place
from simulation.stations import Station

NEAR_M, FAR_M = 300.0, 4000.0
SLOWEST_MPS, FASTEST_MPS = 3.0, 6.5
FIRST_WAIT_S = 20.0
WAIT_S = (5.0, 60.0)
BENDS = 7
MOST_ASIDE = 0.15
MISTAKES = 0.03
# about 40 m
SCATTER_DEG = 0.0004
ALONE = 0.1


class Errand(NamedTuple):
    """A ride that a rider wants: after a wait, from where it stands to a station, at a speed.

    `bends` shape the way (see tracks.bent). A mistake is noticed soon after the start, and cancelled.
    """

    wait_s: float
    start: Place
    end: Place
    speed_mps: float
    bends: tuple[float, ...]
    is_mistake: bool


class Standing(NamedTuple):
    """A bike of the plan: its number among all, where it stands first, and whether it reports by itself."""

    number: str
    place: Place
    is_alone: bool


def errands(seed: str, rider: int, stations: Sequence[Station]) -> Iterator[Errand]:
    """The endless sequence of one rider's errands: each begins where the one before was to end."""
    random = Random(f"{seed}/rider/{rider}")  # noqa: S311 - reproducible on purpose
    here = random.choice(stations)
    wait_s = random.uniform(0, FIRST_WAIT_S)
    while True:
        there = _destination(random, here, stations)
        yield Errand(
            wait_s,
            here.place,
            there.place,
            random.uniform(SLOWEST_MPS, FASTEST_MPS),
            tuple(random.uniform(-MOST_ASIDE, MOST_ASIDE) for _ in range(BENDS)),
            random.random() < MISTAKES,
        )
        here, wait_s = there, random.uniform(*WAIT_S)


def bikes(seed: str, number: int, stations: Sequence[Station]) -> list[Standing]:
    """So many bikes around the stations. Fewer bikes of the same seed are the first of more."""
    random = Random(f"{seed}/bikes")  # noqa: S311 - reproducible on purpose
    return [
        Standing(f"{index:05d}", _near(random, stations), random.random() < ALONE) for index in range(1, number + 1)
    ]


def _near(random: Random, stations: Sequence[Station]) -> Place:
    longitude, latitude = random.choice(stations).place
    return (
        longitude + random.uniform(-SCATTER_DEG, SCATTER_DEG),
        latitude + random.uniform(-SCATTER_DEG, SCATTER_DEG),
    )


def _destination(random: Random, here: Station, stations: Sequence[Station]) -> Station:
    """Another station, near ones more often; the nearest where none is within a ride."""
    others = [(path_m([here.place, other.place]), other) for other in stations if other.place != here.place]
    inside = [(metres, other) for metres, other in others if NEAR_M <= metres <= FAR_M]
    if not inside:
        return min(others, key=lambda each: each[0])[1]
    return random.choices([other for _, other in inside], [1 / metres for metres, _ in inside])[0]
