"""`make simulate`: random riders on random bikes, the same for the same seed, and a check afterwards."""

import secrets
from argparse import Namespace
from datetime import UTC, datetime, timedelta

from rich.console import Console

from replay import fleet as replay_fleet
from replay.client import Caller
from simulation import plan, stations
from simulation.bikes import Bike, Fleet
from simulation.check import check
from simulation.city import City
from simulation.crew import work
from simulation.display import Display
from simulation.doors import Doors
from simulation.riders import Rider
from simulation.summary import print_summary

FAMILY = "Simulated"
POSITIONS_UNDER_WAY_S = 30.0
# the clocks of a gateway elsewhere may differ by so much
CLOCKS_APART = timedelta(minutes=5)


def run(console: Console, doors: Doors, options: Namespace) -> int:
    """Rides, then compares; the exit code. Raises what its parts raise."""
    url = doors.gateway.connection.gateway_url
    console.print(
        f"{options.bikes:,} bikes, {options.riders:,} riders, {options.minutes:g} minutes at SPEED={options.speed:g}, "
        f"SEED={options.seed}, {url}",
        soft_wrap=True,
        highlight=False,
    )
    where = stations.load()
    planned = plan.bikes(options.seed, options.bikes, where)
    ids = replay_fleet.ready(doors.gateway, {each.number: each.place for each in planned}, FAMILY)
    fleet = Fleet(Bike(ids[each.number], each.place, each.is_alone) for each in planned)
    doors.probe_mqtt(next(iter(fleet)).id)
    city = City(doors.gateway, doors.tally, doors.reports, fleet, doors.closing)
    # riders are new in each run: one left with an active trip by an aborted run could not start another
    name = f"simulated-{secrets.token_hex(4)}"
    riders = [
        Rider(city, Caller("rider", f"{name}-{index}"), plan.errands(options.seed, index, where), options.speed)
        for index in range(options.riders)
    ]
    since = datetime.now(UTC) - CLOCKS_APART
    with Display(console, doors.tally, f"Load on {url}") as display:
        work(city, [rider.run for rider in riders], options.minutes * 60, display.show)
    seen = doors.tally.seen()
    console.print(f"Reading back (up to {POSITIONS_UNDER_WAY_S:.0f} s for positions under way) ...")
    checked = check(
        doors.gateway,
        fleet,
        [trip for rider in riders for trip in rider.trips],
        {rider.caller.subject for rider in riders},
        since.isoformat().replace("+00:00", "Z"),
        POSITIONS_UNDER_WAY_S,
    )
    is_well = print_summary(console, seen, checked, [error for rider in riders for error in rider.errors])
    return 0 if is_well else 1
