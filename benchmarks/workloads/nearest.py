"""GET /v1/bikes?lat&lon&radius, the nearest 20 of 10,000 bikes, over 50 connections."""

from collections.abc import Mapping, Sequence

from benchmarks import answers, loads
from benchmarks.bench import Bench
from benchmarks.marks import Mark
from benchmarks.registry import Workload
from benchmarks.rows import Row, faster

BIKES = 10_000


def run(bench: Bench, values: Mapping[str, int]) -> Sequence[Row]:
    stacks = [loads.filled(stack, BIKES) for stack in (bench.ours, bench.stock)]
    answers.check_alike(stacks[0].url, stacks[1].url, loads.nearest_paths(20, BIKES))
    ours, stock = bench.compare(
        loads.nearest(bench, "ours", stacks[0], BIKES), loads.nearest(bench, "stock", stacks[1], BIKES)
    )
    return [faster("nearest", "req/s", ours, stock, Mark(at_least=3))]


WORKLOAD = Workload("nearest", 20, run)
