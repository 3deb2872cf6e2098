"""GET /v1/bikes/{id} over 50 connections."""

from collections.abc import Mapping, Sequence

from benchmarks import answers, fleet, loads
from benchmarks.bench import Bench
from benchmarks.limits import pgbench
from benchmarks.marks import Mark
from benchmarks.measure import Contender
from benchmarks.registry import Workload
from benchmarks.rows import Row, faster

BIKES = 10_000


def run(bench: Bench, values: Mapping[str, int]) -> Sequence[Row]:
    ours, stock = loads.filled(bench.ours, BIKES), loads.filled(bench.stock, BIKES)
    bikes = fleet.bike_ids(BIKES)
    answers.check_alike(ours.url, stock.url, [f"/v1/bikes/{bike}" for bike in bikes[:20]])
    script = pgbench.GET_BIKE.format(last=BIKES - 1)
    statement = Contender(
        "pgbench", lambda seconds: pgbench.run(ours.ground.bike_url, script, seconds), lambda: bench.parts.groups
    )
    measured = bench.compare(
        loads.reads(bench, "ours", ours, bikes),
        loads.reads(bench, "stock", stock, bikes),
        loads.reads(bench, "http_only", bench.http_only, bikes),
        statement,
    )
    marks = (Mark(at_least=4.5), Mark(at_least=0.8), None)
    pairs = zip(measured[1:], marks, strict=True)
    return [faster("read_one", "req/s", measured[0], baseline, mark) for baseline, mark in pairs]


WORKLOAD = Workload("read_one", 10, run)
