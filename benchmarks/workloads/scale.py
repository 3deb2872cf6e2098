"""Two gateways and two of each service beside one of each: reads over 50 connections. The gain is reported."""

import contextlib
from collections.abc import Mapping, Sequence

from benchmarks import fleet, loads
from benchmarks.bench import Bench
from benchmarks.parts import Ground
from benchmarks.registry import Workload
from benchmarks.rows import Row, faster

BIKES = 10_000


def run(bench: Bench, values: Mapping[str, int]) -> Sequence[Row]:
    bikes = fleet.bike_ids(BIKES)
    one = loads.filled(bench.ours, BIKES)

    def prepare(ground: Ground) -> None:
        with contextlib.closing(ground.bikes()) as connection:
            fleet.fill(connection, BIKES)

    with bench.another("double", prepare, each=2) as two:
        of_two, of_one = bench.compare(
            loads.reads(bench, "two of each", two, bikes), loads.reads(bench, "one of each", one, bikes)
        )
    return [faster("scale", "req/s", of_two, of_one, None)]


WORKLOAD = Workload("scale", 100, run)
