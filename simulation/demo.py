"""`make demo`: the recorded rides, again and again, among bikes that stand at their stations."""

import secrets
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from replay import fleet as replay_fleet
from replay.fleet import Place
from replay.run import by_bike
from replay.source import load
from simulation import stations
from simulation.bikes import Bike, Fleet
from simulation.city import City
from simulation.crew import work
from simulation.display import Display, line
from simulation.doors import Doors
from simulation.recordings import Recording, worth_showing

DATA = Path(__file__).parents[1] / "replay" / "data" / "valleybike" / "2018-06.csv.gz"
PARKED_FAMILY = "Parked"
# a station's docks are half full
DOCKS_PER_BIKE = 2
# docks stand side by side: about 2 m
DOCK_DEG = 0.00002
ALONE_EVERY = 10


def run(console: Console, doors: Doors, options: Namespace) -> int:
    """Shows the city until it closes; the exit code. Raises what its parts raise."""
    queues = by_bike(worth_showing(load(DATA)))
    ids = replay_fleet.prepare(doors.gateway, [ride for queue in queues for ride in queue])
    riding = [
        Bike(ids[rides[0].bike], rides[0].reports[0][1:], is_alone=index % ALONE_EVERY == 0)
        for index, rides in enumerate(queues)
    ]
    docked = parked_places(stations.load())
    parked = replay_fleet.ready(doors.gateway, docked, PARKED_FAMILY)
    fleet = Fleet([*riding, *(Bike(bike_id, docked[number]) for number, bike_id in parked.items())])
    city = City(doors.gateway, doors.tally, doors.reports, fleet, doors.closing)
    doors.probe_mqtt(riding[0].id)
    url = doors.gateway.connection.gateway_url
    console.print(
        f"{len(queues)} bikes ride {sum(map(len, queues))} recorded rides at SPEED={options.speed:g}, "
        f"{len(docked)} stand at stations.\n"
        f"  Map       {url}/map\n"
        f"  Token     make token ROLE=operator      (to sign in there)\n"
        f"  End       {f'after {options.minutes:g} minutes, or ' if options.minutes else ''}Ctrl-C",
        soft_wrap=True,
        highlight=False,
    )
    name = f"demo-{secrets.token_hex(4)}"
    crew = [
        Recording(city, bike, rides, options.speed, f"{name}-{rides[0].bike}").run
        for bike, rides in zip(riding, queues, strict=True)
    ]
    seconds = options.minutes * 60 if options.minutes else None
    with Display(console, doors.tally, f"A city that moves: {url}/map") as display:
        work(city, crew, seconds, display.show)
    seen = doors.tally.seen()
    console.print(f"Ended; {seen.active:,} trips are left active. In all: {line(seen, seen)}", soft_wrap=True)
    return 0 if seen.active == 0 else 1


def parked_places(found: list[stations.Station]) -> Mapping[str, Place]:
    """A place by name for every bike that stands at a station."""
    return {
        f"{station.number}-{dock:02d}": (station.place[0] + dock * DOCK_DEG, station.place[1])
        for station in found
        for dock in range(1, station.docks // DOCKS_PER_BIKE + 1)
    }
