"""A trip through the public doors: started, followed along a track, ended or cancelled, each step counted."""

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from replay.client import OPERATOR, ApiError, Caller, Stopped, Unavailable
from replay.ride import MARGIN, Position, parse_time
from simulation.bikes import Bike
from simulation.city import City
from simulation.tally import OUTCOME
from simulation.tracks import Waypoint

ACTIVE, ENDED, CANCELLED, UNKNOWN = "active", "ended", "cancelled", "unknown"


@dataclass
class Trip:
    """What the system has answered about a trip: its last known status, the times of accepted positions.

    `begun` is when that answer came (monotonic).
    """

    id: str
    bike_id: str
    rider: Caller
    started_at: datetime
    begun: float
    status: str = ACTIVE
    accepted: list[datetime] = field(default_factory=list)

    def note(self, positions: list[Position]) -> None:
        self.accepted += [position.recorded_at for position in positions]


def start(city: City, bike: Bike, rider: Caller, key: str) -> Trip | None:
    """The trip; None when another has the bike. Raises ApiError for any other refusal, and what `_insist` raises."""
    try:
        answer = _insist(city, "/v1/trips", rider, {"bike_id": bike.id}, key)
    except ApiError as error:
        if error.status != 409:
            raise
        city.tally.add(OUTCOME.taken)
        return None
    bike.is_ridden = True
    city.tally.add(OUTCOME.started)
    return Trip(answer["id"], bike.id, rider, parse_time(answer["started_at"]), time.monotonic())


def follow(city: City, trip: Trip, bike: Bike, track: list[Waypoint], every_s: float) -> None:
    """Reports the track, what is due together, at most every so many seconds, until its end or the city's."""
    origin = trip.started_at + MARGIN
    begun = trip.begun + MARGIN.total_seconds()
    sent = 0
    pause_s = 0.0
    while sent < len(track):
        due = max(begun + track[sent].offset_s - time.monotonic(), pause_s)
        if not city.wait(due):
            return
        elapsed = time.monotonic() - begun
        passed = [point for point in track[sent:] if point.offset_s <= elapsed]
        positions = [
            Position(origin + timedelta(seconds=point.offset_s), point.longitude, point.latitude) for point in passed
        ]
        if positions:
            city.reports.report(bike, positions, trip.note)
        sent += len(passed)
        pause_s = every_s


def end(city: City, trip: Trip, bike: Bike) -> None:
    """The rider ends it where the bike is. Raises what Gateway.call raises."""
    location = {"type": "Point", "coordinates": list(bike.place)}
    _close(city, trip, f"/v1/trips/{trip.id}/end", trip.rider, ENDED, {"location": location})
    city.tally.add(OUTCOME.ended)


def cancel(city: City, trip: Trip) -> None:
    """An operator cancels it. Raises what Gateway.call raises."""
    _close(city, trip, f"/v1/trips/{trip.id}/cancel", OPERATOR, CANCELLED, None)
    city.tally.add(OUTCOME.cancelled)


def ride(city: City, trip: Trip, bike: Bike, track: list[Waypoint], every_s: float, is_mistake: bool = False) -> None:
    """Follows the track, then ends the trip (cancels a mistake), when the city closes too.

    Raises ApiError, Unavailable and Stopped, after an attempt to cancel the trip.
    """
    try:
        follow(city, trip, bike, track, every_s)
        if is_mistake:
            cancel(city, trip)
        else:
            end(city, trip, bike)
    except (ApiError, Unavailable, Stopped):
        if trip.status == ACTIVE:
            cancel(city, trip)
        raise
    finally:
        city.reports.parked(bike)
        bike.is_ridden = False


def _insist(city: City, path: str, caller: Caller, body: object, key: str | None = None) -> Any:
    """As Gateway.post, but patient until the city closes: a trip that nobody knows of would keep its bike for ever."""
    while True:
        try:
            return city.gateway.post(path, caller, body, key)
        except Unavailable:
            city.tally.add(OUTCOME.unanswered)
            if city.closing.is_set():
                raise


def _close(city: City, trip: Trip, path: str, caller: Caller, status: str, body: object) -> None:
    try:
        _insist(city, path, caller, body)
    except (Unavailable, Stopped):
        trip.status = UNKNOWN
        raise
    trip.status = status
