"""The recorded rides as a living fleet: each bike rides its own again and again."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from random import Random

from replay.client import ApiError, Caller, Unavailable
from replay.source import Ride
from simulation import trips
from simulation.bikes import Bike
from simulation.city import City
from simulation.tally import OUTCOME
from simulation.tracks import recorded

# rides that nobody would see move, and bikes that reported from a cellar for a day
FEWEST_POINTS, LONGEST_S = 10, 2 * 3600.0
REPORT_EVERY_S = 1.0
FIRST_WAIT_S = 4.0
REST_S = (1.0, 8.0)


def worth_showing(rides: list[Ride]) -> list[Ride]:
    return [ride for ride in rides if len(ride.points) >= FEWEST_POINTS and ride.span_s <= LONGEST_S]


@dataclass
class Recording:
    """One bike and its rides, in the order of their time; `name` begins the names of its riders."""

    city: City
    bike: Bike
    rides: list[Ride]
    speed: float
    name: str

    def run(self) -> None:
        """Ride after ride, each by another rider, until the city closes. Raises Stopped."""
        random = Random(self.name)  # noqa: S311 - only spreads the starts
        wait_s = random.uniform(0, FIRST_WAIT_S)
        for number, ride in self._endless(random):
            if not self.city.wait(wait_s):
                return
            rider = Caller("rider", f"{self.name}-{number}")
            try:
                self.perform(ride, rider)
            except (ApiError, Unavailable):
                self.city.tally.add(OUTCOME.failed)
            wait_s = random.uniform(*REST_S)

    def perform(self, ride: Ride, rider: Caller) -> None:
        """One ride; none where somebody else has the bike. Raises what Gateway.call raises."""
        trip = trips.start(self.city, self.bike, rider, rider.subject)
        if trip is not None:
            trips.ride(self.city, trip, self.bike, recorded(ride, self.speed), REPORT_EVERY_S)

    def _endless(self, random: Random) -> Iterator[tuple[int, Ride]]:
        """The rides for ever, from any of them on, so that the city does not begin the same every time."""
        first = random.randrange(len(self.rides))
        return enumerate(cycle(self.rides[first:] + self.rides[:first]), start=1)
