"""Riders that start and end trips, each with bikes of their own."""

import datetime as dt

from benchmarks import checks, fleet, wrk
from benchmarks.bench import Bench
from benchmarks.measure import Contender, Sample
from benchmarks.stacks import Stack
from benchmarks.wrk import Load
from shared import jwt

# A bike comes again after so many rides of its rider: it may take a second until it can be rented again.
BIKES_EACH = 40


def bikes_for(riders: int, runs: int) -> int:
    """How large a fleet has to be."""
    return riders * BIKES_EACH * runs


def riders(bench: Bench, name: str, stack: Stack, count: int) -> Contender:
    """So many riders over as many connections, other riders and bikes in each run; a unit is one request.

    Those that were on the way when a run ended ride on, since nobody knows their trips.
    """
    book = bench.file()

    loads: list[Load] = []

    def prepare(seconds: float) -> None:
        first = len(loads) * count
        data = bench.file([_line(bench.secret, first + rider) for rider in range(count)])
        loads.append(Load("rides", stack.url, {"BENCH_DATA": str(data), "BENCH_BOOK": str(book)}, count))

    def run(seconds: float) -> Sample:
        return wrk.run(loads[-1:], seconds)

    def check() -> None:
        checks.check_rides(stack.ground, book, count * len(loads))

    return Contender(name, run, bench.groups(stack), prepare, check)


def _line(secret: str, rider: int) -> str:
    subject = f"rider-{rider}"
    token = jwt.mint(secret, jwt.RIDER, subject, dt.timedelta(hours=24))
    bikes = [fleet.bike_id(rider * BIKES_EACH + number) for number in range(BIKES_EACH)]
    return " ".join([subject, token, *bikes])
