"""The nearest 20 of 1,000,000 bikes, standing as densely as the 10,000 beside which they are measured."""

import contextlib
from collections.abc import Mapping, Sequence

from benchmarks import fleet, loads
from benchmarks.bench import Bench
from benchmarks.marks import Mark
from benchmarks.parts import Ground
from benchmarks.registry import Workload
from benchmarks.rows import Row, ratio

FEW = 10_000


def run(bench: Bench, values: Mapping[str, int]) -> Sequence[Row]:
    many = values["bikes"]

    def prepare(ground: Ground) -> None:
        with contextlib.closing(ground.bikes()) as connection:
            fleet.fill(connection, many)

    few = loads.filled(bench.ours, FEW)
    with bench.another("million", prepare) as stack:
        of_many, of_few = bench.compare(
            loads.nearest(bench, f"{many:,} bikes", stack, many), loads.nearest(bench, f"{FEW:,} bikes", few, FEW)
        )
    p50s = of_many.p50_ms or 0.0, of_few.p50_ms or 0.0
    mark = Mark(at_most=2)
    row = Row("nearest_million", of_few.name, "ms p50", *p50s, ratio(*p50s), mark, of_many, of_few)
    return [row]


WORKLOAD = Workload("nearest_million", 80, run, parameters={"bikes": 1_000_000})
