"""Contenders that wrk loads, as several workloads have them."""

import contextlib
from collections.abc import Sequence

from benchmarks import answers, fleet, wrk
from benchmarks.bench import Bench
from benchmarks.measure import Contender, Sample
from benchmarks.stacks import Stack
from benchmarks.wrk import Load

CONNECTIONS = 50
RADIUS_M, NEAREST = 1000, 20


def filled(stack: Stack, bikes: int) -> Stack:
    """The stack with so many bikes and nothing else."""
    with contextlib.closing(stack.ground.trips()) as trips, contextlib.closing(stack.ground.bikes()) as connection:
        fleet.empty(connection, trips)
        fleet.fill(connection, bikes)
    return stack


def reads(bench: Bench, name: str, stack: Stack, bikes: Sequence[str], connections: int = CONNECTIONS) -> Contender:
    """Single bikes by id, the connections shared out to the stack's gateways."""
    data = {"BENCH_DATA": str(bench.file(bikes))}
    each = connections // len(stack.urls)
    loads = [Load("read_one", url, data, each) for url in stack.urls]

    def run(seconds: float) -> Sample:
        with answers.probing(stack.url, bikes):
            return wrk.run(loads, seconds)

    return Contender(name, run, bench.groups(stack))


def nearest(bench: Bench, name: str, stack: Stack, bikes: int) -> Contender:
    """The nearest of a fleet of so many bikes."""
    places = fleet.places(2000, bikes, seed=1)
    data = {"BENCH_DATA": str(bench.file([f"{latitude} {longitude}" for latitude, longitude in places]))}
    load = Load("nearest", stack.url, data, CONNECTIONS)
    return Contender(name, lambda seconds: wrk.run([load], seconds), bench.groups(stack))


def nearest_paths(count: int, bikes: int) -> list[str]:
    """Paths as `nearest` asks for."""
    return [
        f"/v1/bikes?lat={latitude}&lon={longitude}&radius={RADIUS_M}&limit={NEAREST}"
        for latitude, longitude in fleet.places(count, bikes, seed=2)
    ]
