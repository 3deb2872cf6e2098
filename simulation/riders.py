"""Riders of the load: each runs its errands on the nearest bike that it gets."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from replay.client import ApiError, Caller, Unavailable
from replay.fleet import Place
from simulation import trips
from simulation.bikes import Bike
from simulation.city import City
from simulation.plan import Errand
from simulation.tally import OUTCOME
from simulation.tracks import Waypoint, bent, timed
from simulation.trips import Trip

LOOK_WITHIN_M = 2000
LOOK_AT = 20
# how many bikes a rider tries before it walks on
TRIES = 4
REPORT_EVERY_S = 5.0
# in life's seconds, at any speed
REPORT_AT_MOST_EVERY_S = 1.0
NOTICED_AFTER_S = 20.0


@dataclass
class Rider:
    """`speed` times faster than life. `trips` are those that it has started; `errors` say what went wrong."""

    city: City
    caller: Caller
    errands: Iterable[Errand]
    speed: float
    trips: list[Trip] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Errand after errand until the city closes. Raises Stopped."""
        for number, errand in enumerate(self.errands, start=1):
            if not self.city.wait(errand.wait_s / self.speed):
                return
            try:
                self.perform(errand, number)
            except (ApiError, Unavailable) as error:
                self.city.tally.add(OUTCOME.failed)
                self.errors.append(str(error))

    def perform(self, errand: Errand, number: int) -> None:
        """One errand; without a bike nothing comes of it. Raises what Gateway.call raises."""
        for attempt, bike in enumerate(self._nearest(errand.start), start=1):
            # a refusal is kept under its key, so each attempt has one of its own
            trip = trips.start(self.city, bike, self.caller, f"{self.caller.subject}-{number}-{attempt}")
            if trip is not None:
                self.trips.append(trip)
                every_s = max(REPORT_EVERY_S / self.speed, REPORT_AT_MOST_EVERY_S)
                track = track_of(errand, bike.place, self.speed)
                trips.ride(self.city, trip, bike, track, every_s, errand.is_mistake)
                return
            if self.city.closing.is_set():
                return
        self.city.tally.add(OUTCOME.none_near)

    def _nearest(self, place: Place) -> Iterator[Bike]:
        """Bikes of ours, nearest first."""
        where = {"lon": str(place[0]), "lat": str(place[1]), "radius": str(LOOK_WITHIN_M), "limit": str(LOOK_AT)}
        found = self.city.gateway.get("/v1/bikes", self.caller, where)["items"]
        ours = [bike for bike in (self.city.fleet.get(each["id"]) for each in found) if bike is not None]
        return iter(ours[:TRIES])


def track_of(errand: Errand, start: Place, speed: float) -> list[Waypoint]:
    """The errand's track from where its bike stands, in seconds at that speed; a mistake's is short."""
    way = bent(start, errand.end, errand.bends)
    track = timed(way, errand.speed_mps, REPORT_EVERY_S)
    return [
        Waypoint(point.offset_s / speed, point.longitude, point.latitude)
        for point in track
        if not errand.is_mistake or point.offset_s <= NOTICED_AFTER_S
    ]
