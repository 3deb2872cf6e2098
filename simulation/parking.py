"""Bikes that stand still say so now and then, as real ones do."""

from itertools import count

from simulation.bikes import standing
from simulation.city import City

# each bike once in so many steps of a second
STEPS = 60
STEP_S = 1.0


def report_all(city: City) -> None:
    """Everything that stands reports its place at once, through the platform."""
    for bike in city.fleet:
        if not bike.is_ridden:
            city.reports.through_platform(bike, [standing(bike)])


def keep_reporting(city: City) -> None:
    """Every parked bike reports once a minute until the city closes."""
    bikes = list(city.fleet)
    for step in count():
        if not city.wait(STEP_S):
            return
        for bike in bikes[step % STEPS :: STEPS]:
            if not bike.is_ridden:
                city.reports.through_platform(bike, [standing(bike)])
