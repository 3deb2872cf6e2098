"""What storing a position costs with 50,000,000 stored already, beside what it costs in an empty table."""

import contextlib
import datetime as dt
from collections.abc import Mapping, Sequence

from benchmarks import fleet, loads, reporting
from benchmarks.bench import Bench
from benchmarks.marks import Mark
from benchmarks.parts import Ground
from benchmarks.registry import Workload
from benchmarks.rows import Row, ratio
from benchmarks.telemetry import Reports

BIKES = 1000
DAYS = 30
# A statement's worth: what is written is written out between two of them.
PIECE = 2_000_000
FILL = """
    INSERT INTO positions (bike_id, recorded_at, longitude, latitude, battery_percent, speed_mps, accuracy_m)
    SELECT md5('bike-' || number %% %(bikes)s)::uuid,
        %(since)s + (number / %(bikes)s) * %(step)s, -72.64, 42.32, 71.5, 4.2, 5.1
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS number
"""


def fill(ground: Ground, rows: int) -> None:
    """Store so many positions, evenly over the last days up to some hours ago, in the order of their times."""
    now = dt.datetime.now(dt.UTC)
    since = now - dt.timedelta(days=DAYS)
    until = now - dt.timedelta(hours=8)
    step = (until - since) / max(rows // BIKES, 1)
    with contextlib.closing(ground.trips()) as trips, contextlib.closing(ground.bikes()) as bikes:
        fleet.fill(bikes, BIKES)
        with trips.cursor() as cursor:
            for first in range(0, rows, PIECE):
                values = {"first": first, "last": min(first + PIECE, rows) - 1, "bikes": BIKES}
                cursor.execute(FILL, {**values, "since": since, "step": step})
            cursor.execute("VACUUM ANALYZE positions")


def run(bench: Bench, values: Mapping[str, int]) -> Sequence[Row]:
    rows = values["rows"]
    ids = fleet.bike_ids(BIKES)
    empty = loads.filled(bench.ours, BIKES)
    bench.say(f"storing {rows:,} positions ...")
    with bench.another("grown", lambda ground: fill(ground, rows)) as grown:
        full, fresh = bench.compare(
            reporting.batches(bench, f"{rows:,} stored", grown, Reports(ids)),
            reporting.batches(bench, "none stored", empty, Reports(ids)),
        )
    costs = 1e6 / full.rate, 1e6 / fresh.rate
    return [Row("storage_growth", fresh.name, "µs/pos", *costs, ratio(*costs), Mark(at_most=1.2), full, fresh)]


WORKLOAD = Workload("storage_growth", 90, run, long=True, parameters={"rows": 50_000_000})
