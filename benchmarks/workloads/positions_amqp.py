"""Positions, one in each AMQP message, until stored in trip_service and reflected in bike_service."""

from collections.abc import Mapping, Sequence

from benchmarks import fleet, loads, reporting
from benchmarks.bench import Bench
from benchmarks.marks import Mark
from benchmarks.registry import Workload
from benchmarks.rows import Row, faster
from benchmarks.telemetry import Reports

BIKES = 1000


def run(bench: Bench, values: Mapping[str, int]) -> Sequence[Row]:
    contenders = [
        reporting.messages(bench, name, loads.filled(stack, BIKES), Reports(fleet.bike_ids(BIKES)))
        for name, stack in (("ours", bench.ours), ("stock", bench.stock))
    ]
    ours, stock = bench.compare(*contenders)
    return [faster("positions_amqp", "pos/s", ours, stock, Mark(at_least=10))]


WORKLOAD = Workload("positions_amqp", 50, run)
