"""Each ride as the system tells it (trip and route), against its source."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from replay.client import OPERATOR, ApiError, Gateway
from replay.distance import path_m
from replay.ride import Outcome, Position, parse_time

COORDINATE_TOLERANCE_DEG = 1e-9
DISTANCE_TOLERANCE = 0.01
DISTANCE_TOLERANCE_M = 5.0
POLL_S = 1.0
READERS = 8


@dataclass
class Comparison:
    """One ride: metres and points on both sides; `differences` is empty when all is the same."""

    outcome: Outcome
    source_m: float
    system_m: float = 0.0
    system_points: list[Position] = field(default_factory=list)
    ended: bool = False
    differences: list[str] = field(default_factory=list)

    @property
    def distance_differs(self) -> bool:
        return abs(self.system_m - self.source_m) > max(DISTANCE_TOLERANCE * self.source_m, DISTANCE_TOLERANCE_M)


def read_back(gateway: Gateway, outcomes: list[Outcome], patience_s: float) -> list[Comparison]:
    """Every ride compared; those that differ are read again, for `patience_s` in all, as positions are under way."""
    deadline = time.monotonic() + patience_s
    results: dict[int, Comparison] = {}
    pending = list(range(len(outcomes)))
    with ThreadPoolExecutor(READERS) as pool:
        while True:
            last = time.monotonic() > deadline
            results |= zip(pending, pool.map(lambda index: _read(gateway, outcomes[index]), pending), strict=True)
            # a ride that failed is not waited for
            pending = [index for index in pending if results[index].differences and not outcomes[index].error]
            if last or not pending:
                return [results[index] for index in range(len(outcomes))]
            gateway.pause(POLL_S)


def compare(outcome: Outcome, trip: dict[str, Any], route: dict[str, Any]) -> Comparison:
    """Compares the bodies of `GET /v1/trips/{id}` and `GET /v1/trips/{id}/route` with the ride."""
    result = Comparison(
        outcome,
        source_m=path_m((point.longitude, point.latitude) for point in outcome.ride.points),
        system_m=float(trip["distance_m"] or 0.0),
        system_points=route_points(route),
        ended=trip["status"] == "ended",
    )
    result.differences += [outcome.error] if outcome.error else []
    wanted = {"status": "ended", "ended_by": "rider", "bike_id": outcome.bike_id, "rider_id": outcome.rider_id}
    for name, value in wanted.items():
        if trip[name] != value:
            result.differences.append(f"{name} is {trip[name]!r} instead of {value!r}")
    result.differences += _point_differences(outcome.expected, result.system_points)
    if result.distance_differs:
        result.differences.append(f"{result.system_m:.1f} m instead of {result.source_m:.1f} m")
    return result


def route_points(route: dict[str, Any]) -> list[Position]:
    """The points of a route Feature. A single one stands twice there, for a LineString needs two."""
    coordinates = route["geometry"]["coordinates"] if route["geometry"] else []
    times = route["properties"]["recorded_at"]
    points = [
        Position(parse_time(moment), longitude, latitude)
        for (longitude, latitude, *_), moment in zip(coordinates, times, strict=True)
    ]
    return points[:1] if len(points) == 2 and points[0] == points[1] else points


def _point_differences(expected: list[Position], stored: list[Position]) -> list[str]:
    differences = []
    if len(stored) != len(expected):
        differences.append(f"{len(stored)} points instead of {len(expected)}")
    for number, (mine, theirs) in enumerate(zip(expected, stored, strict=False), start=1):
        if not _same(mine, theirs):
            differences.append(f"point {number} is {_shown(theirs)} instead of {_shown(mine)}")
            break
    return differences


def _same(a: Position, b: Position) -> bool:
    return (
        a.recorded_at == b.recorded_at
        and abs(a.longitude - b.longitude) <= COORDINATE_TOLERANCE_DEG
        and abs(a.latitude - b.latitude) <= COORDINATE_TOLERANCE_DEG
    )


def _shown(position: Position) -> str:
    return f"{position.longitude} {position.latitude} at {position.recorded_at.isoformat()}"


def _read(gateway: Gateway, outcome: Outcome) -> Comparison:
    if outcome.trip_id is not None:
        try:
            trip = gateway.get(f"/v1/trips/{outcome.trip_id}", OPERATOR)
            return compare(outcome, trip, gateway.get(f"/v1/trips/{outcome.trip_id}/route", OPERATOR))
        except ApiError as error:
            refusal = str(error)
    else:
        refusal = "no trip"
    source_m = path_m((point.longitude, point.latitude) for point in outcome.ride.points)
    return Comparison(outcome, source_m, differences=[outcome.error or refusal])
