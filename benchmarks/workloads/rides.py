"""POST /v1/trips and POST /v1/trips/{id}/end by 50 riders."""

from collections.abc import Mapping, Sequence

from benchmarks import checks, loads, riding
from benchmarks.bench import Bench
from benchmarks.marks import Mark
from benchmarks.registry import Workload
from benchmarks.rows import Row, faster, judged, ratio

RIDERS = 50


def run(bench: Bench, values: Mapping[str, int]) -> Sequence[Row]:
    bikes = riding.bikes_for(RIDERS, bench.settings.rounds + 1)
    stacks = [loads.filled(stack, bikes) for stack in (bench.ours, bench.stock)]
    ours, stock = bench.compare(
        riding.riders(bench, "ours", stacks[0], RIDERS), riding.riders(bench, "stock", stacks[1], RIDERS)
    )
    checks.wait_outbox_empty(stacks[0].ground)
    tail = ratio(ours.p99_ms or 0.0, ours.p50_ms or 0.0)
    return [
        faster("rides", "req/s", ours, stock, Mark(at_least=3)),
        judged("rides", "p99 / p50", "fold", tail, Mark(less_than=5)),
    ]


WORKLOAD = Workload("rides", 30, run)
