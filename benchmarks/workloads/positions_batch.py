"""POST /v1/positions in batches of 500, until stored in trip_service and reflected in bike_service."""

from collections.abc import Mapping, Sequence

from benchmarks import fleet, loads, reporting
from benchmarks.bench import Bench
from benchmarks.marks import Mark
from benchmarks.registry import Workload
from benchmarks.rows import Row, faster, judged
from benchmarks.telemetry import Reports

BIKES = 1000


def run(bench: Bench, values: Mapping[str, int]) -> Sequence[Row]:
    stack = loads.filled(bench.ours, BIKES)
    # The copied rows are of bikes of their own, so that they are no repetition of what was posted.
    others = [fleet.bike_id(BIKES + number) for number in range(BIKES)]
    ours, copied = bench.compare(
        reporting.batches(bench, "ours", stack, Reports(fleet.bike_ids(BIKES))),
        reporting.copies(bench, "COPY", stack.ground, Reports(others)),
    )
    return [
        faster("positions_batch", "pos/s", ours, copied, Mark(at_least=1 / 3)),
        judged("positions_batch", "by itself", "pos/s", ours.rate, Mark(more_than=26_000)),
    ]


WORKLOAD = Workload("positions_batch", 40, run)
