"""One ride through the public doors: a rider starts it, the vehicle reports, the rider ends it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from replay import clock
from replay.client import OPERATOR, ApiError, Caller, Gateway, Stopped, Unavailable
from replay.source import Point, Ride

BATCH_SIZE = 200
BATCH_WINDOW_US = 1_000_000
# between the start and the first point, and between the last point and the end
MARGIN = timedelta(milliseconds=10)
# an ended trip frees its bike within 1 s; a service that was away puts it right within 30 s
START_WITHIN_S = 35.0
START_AGAIN_S = 0.25


class Position(NamedTuple):
    """A point as the system must have it."""

    recorded_at: datetime
    longitude: float
    latitude: float


@dataclass(frozen=True)
class Outcome:
    """What became of a ride; `expected` are its distinct points as replayed, in time order; `error` why it failed."""

    ride: Ride
    bike_id: str
    rider_id: str
    trip_id: str | None
    expected: list[Position]
    error: str | None


def perform(
    gateway: Gateway, ride: Ride, bike_id: str, rider_id: str, speed: float, reported: Callable[[int], None]
) -> Outcome:
    """Rides; `reported` is told the number of points of each batch. An answer that refuses is the outcome's error.

    Raises Unavailable and Stopped, after an attempt to cancel the trip.
    """
    rider = Caller("rider", rider_id)
    trip_id: str | None = None
    positions: list[Position] = []
    error: str | None = None
    try:
        trip = _start(gateway, bike_id, rider)
        # the answer is younger than started_at: a point that is due here lies in the past of the system's own clock
        begun = time.monotonic()
        trip_id = trip["id"]
        offsets = clock.offsets_us([point.time_ns for point in ride.reports], speed)
        positions = _shifted(ride.reports, offsets, parse_time(trip["started_at"]) + MARGIN)
        for batch in clock.batches(offsets, BATCH_SIZE, BATCH_WINDOW_US):
            _wait_until(gateway, begun, offsets[batch][-1])
            _report(gateway, bike_id, positions[batch])
            reported(len(positions[batch]))
        _wait_until(gateway, begun + MARGIN.total_seconds(), offsets[-1] if offsets else 0)
        _end(gateway, trip_id, rider, positions[-1] if positions else None)
    except ApiError as refusal:
        error = str(refusal)
        _cancel(gateway, trip_id)
    except (Stopped, Unavailable):
        _cancel(gateway, trip_id)
        raise
    distinct: dict[datetime, Position] = {}
    for position in positions:
        distinct.setdefault(position.recorded_at, position)
    return Outcome(ride, bike_id, rider_id, trip_id, list(distinct.values()), error)


def parse_time(text: str) -> datetime:
    """An RFC 3339 time of the API."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _start(gateway: Gateway, bike_id: str, rider: Caller) -> dict[str, Any]:
    deadline = time.monotonic() + START_WITHIN_S
    attempt = 0
    while True:
        attempt += 1
        # a refusal is kept under its key, so each attempt has one of its own
        key = f"{rider.subject}-{attempt}"
        try:
            trip: dict[str, Any] = gateway.post("/v1/trips", rider, {"bike_id": bike_id}, key)
            return trip
        except ApiError as error:
            if error.status != 409 or time.monotonic() > deadline:
                raise
            gateway.pause(START_AGAIN_S)


def _shifted(reports: list[Point], offsets: list[int], origin: datetime) -> list[Position]:
    return [
        Position(origin + timedelta(microseconds=offset), point.longitude, point.latitude)
        for point, offset in zip(reports, offsets, strict=True)
    ]


def _wait_until(gateway: Gateway, begun: float, offset_us: int) -> None:
    gateway.pause(begun + MARGIN.total_seconds() + offset_us / 1e6 - time.monotonic())


def _report(gateway: Gateway, bike_id: str, positions: list[Position]) -> None:
    rows = [row(position) for position in positions]
    gateway.post(f"/v1/bikes/{bike_id}/positions", Caller("vehicle", bike_id), {"positions": rows})


def row(position: Position) -> dict[str, Any]:
    """A position as the API takes it."""
    return {
        "recorded_at": position.recorded_at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "location": {"type": "Point", "coordinates": [position.longitude, position.latitude]},
    }


def _end(gateway: Gateway, trip_id: str, rider: Caller, last: Position | None) -> None:
    body = None
    if last is not None:
        body = {"location": {"type": "Point", "coordinates": [last.longitude, last.latitude]}}
    gateway.post(f"/v1/trips/{trip_id}/end", rider, body)


def _cancel(gateway: Gateway, trip_id: str | None) -> None:
    """Frees the bike of a ride that failed; where that fails too, the next replay does it."""
    if trip_id is None:
        return
    try:
        gateway.post(f"/v1/trips/{trip_id}/cancel", OPERATOR)
    except (ApiError, Unavailable, Stopped):
        return
