"""Afterwards: is what the system accepted there, as its own API tells it?"""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

from replay.client import OPERATOR, Gateway
from replay.comparison import route_points
from simulation.bikes import Fleet
from simulation.trips import UNKNOWN, Trip

POLL_S = 1.0
READERS = 8
# reading every route of a long run would be a load of its own
ROUTES = 200


@dataclass
class Checked:
    """What was compared, and each difference in words."""

    trips: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    routes: int = 0
    positions: int = 0
    differences: list[str] = field(default_factory=list)


def check(
    gateway: Gateway, fleet: Fleet, trips: list[Trip], riders: set[str], since: str, patience_s: float
) -> Checked:
    """Compares trips, a sample of their routes, and the bikes; again until all is well or the patience ends.

    `since` is a time of the API before the first trip, `riders` the subjects of all riders.
    """
    sample = Random(len(trips)).sample(trips, min(ROUTES, len(trips)))  # noqa: S311 - only spreads the sample
    return _patiently(gateway, lambda: _check(gateway, fleet, trips, riders, since, sample), patience_s)


def trip_differences(trips: list[Trip], listed: dict[str, dict[str, Any]]) -> list[str]:
    """What we were answered, against what the API lists of our riders, by id."""
    differences = []
    for trip in trips:
        there = listed.get(trip.id)
        if there is None:
            differences.append(f"trip {trip.id} was started and is not there")
            continue
        wanted = {"bike_id": trip.bike_id, "rider_id": trip.rider.subject, "status": trip.status}
        differences += [
            f"trip {trip.id}: {name} is {there[name]!r} instead of {value!r}"
            for name, value in wanted.items()
            if there[name] != value and value != UNKNOWN
        ]
    known = {trip.id for trip in trips}
    differences += [f"trip {trip_id} is there and was never answered" for trip_id in listed if trip_id not in known]
    return differences


def missing(trip: Trip, route: dict[str, Any]) -> list[datetime]:
    """The times of accepted positions that the trip's route does not have."""
    there = {point.recorded_at for point in route_points(route)}
    return [moment for moment in trip.accepted if moment not in there]


def _patiently(gateway: Gateway, once: Callable[[], Checked], patience_s: float) -> Checked:
    deadline = time.monotonic() + patience_s
    while True:
        checked = once()
        if not checked.differences or time.monotonic() > deadline:
            return checked
        gateway.pause(POLL_S)


def _check(
    gateway: Gateway, fleet: Fleet, trips: list[Trip], riders: set[str], since: str, sample: list[Trip]
) -> Checked:
    walked = gateway.walk("/v1/trips", {"started_after": since})
    listed = {trip["id"]: trip for trip in walked if trip["rider_id"] in riders}
    result = Checked(len(listed), Counter(trip["status"] for trip in listed.values()))
    result.differences = trip_differences(trips, listed)
    with ThreadPoolExecutor(READERS) as pool:
        routes = pool.map(lambda trip: gateway.get(f"/v1/trips/{trip.id}/route", OPERATOR), sample)
        for trip, route in zip(sample, routes, strict=True):
            lost = missing(trip, route)
            result.routes, result.positions = result.routes + 1, result.positions + len(trip.accepted)
            if lost:
                result.differences.append(f"trip {trip.id}: {len(lost)} of {len(trip.accepted)} positions are missing")
    open_bikes = {trip.bike_id for trip in trips if trip.status == UNKNOWN}
    for bike in gateway.walk("/v1/bikes", {"status": "in_use"}):
        if fleet.get(bike["id"]) is not None and bike["id"] not in open_bikes:
            result.differences.append(f"bike {bike['name']!r} is in use after all trips have ended")
    return result
