"""POST /v1/bikes/{id}/positions with one position, by bikes on their own, over 50 connections."""

import datetime as dt
import time
from collections.abc import Mapping, Sequence

from benchmarks import checks, fleet, loads, wrk
from benchmarks.bench import Bench
from benchmarks.marks import Mark
from benchmarks.measure import Contender, Sample
from benchmarks.registry import Workload
from benchmarks.rows import Row, faster
from benchmarks.stacks import Stack
from benchmarks.wrk import Load
from shared import jwt

BIKES = 1000
# Between the first times of two runs: none takes in so many millions of positions.
APART_S = 60


def contender(bench: Bench, name: str, stack: Stack, is_stored: bool) -> Contender:
    """`is_stored`: what is accepted goes on to the services, and has to arrive."""
    ids = fleet.bike_ids(BIKES)
    data = bench.file([f"{bike} {jwt.mint(bench.secret, jwt.VEHICLE, bike, dt.timedelta(hours=24))}" for bike in ids])
    starts = iter(range(int(time.time()) - 6 * 3600, int(time.time()), APART_S))

    def run(seconds: float) -> Sample:
        start = next(starts)
        variables = {"BENCH_DATA": str(data), "BENCH_START": str(start)}
        sample = wrk.run([Load("positions_single", stack.url, variables, loads.CONNECTIONS)], seconds)
        if is_stored:
            most = sample.count + loads.CONNECTIONS
            checks.wait_counted(stack.ground, start, start + APART_S - 1, sample.count, most)
        return sample

    def check() -> None:
        if is_stored:
            checks.check_no_dead_letters(stack.ground)

    return Contender(name, run, bench.groups(stack), check=check)


def run(bench: Bench, values: Mapping[str, int]) -> Sequence[Row]:
    ours, http_only = bench.compare(
        contender(bench, "ours", loads.filled(bench.ours, BIKES), is_stored=True),
        contender(bench, "http_only", bench.http_only, is_stored=False),
    )
    return [faster("positions_single", "req/s", ours, http_only, Mark(at_least=0.8))]


WORKLOAD = Workload("positions_single", 60, run)
