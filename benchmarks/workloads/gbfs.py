"""The GBFS feed of the bikes: built, and served warm beside a file of the same bytes."""

import contextlib
import time
from collections.abc import Mapping, Sequence

import requests

from benchmarks import feed_builds, fleet, wrk
from benchmarks.bench import Bench
from benchmarks.errors import BenchmarkError
from benchmarks.marks import Mark
from benchmarks.measure import Contender
from benchmarks.parts import Ground
from benchmarks.registry import Workload
from benchmarks.rows import Row, faster, judged
from benchmarks.stacks import STATIC_FILE, Stack
from benchmarks.wrk import Load
from infrastructure.local import loopback

SIZES = (1_000, 10_000, 100_000)
PATH = "/gbfs/3.0/vehicle_status.json"
CONNECTIONS = 20
LOAD_LIMIT_S = 60
# Of a fleet that is in use, in the second since the last build.
MOVED = 0.01


def run(bench: Bench, values: Mapping[str, int]) -> Sequence[Row]:
    rows: list[Row] = []
    for bikes in SIZES:
        what = f"{bikes:,} bikes"
        rows.append(judged("gbfs", f"built, {what}", "ms", feed_builds.first_s(bikes) * 1000, Mark(at_most=1000)))
        again = feed_builds.again_s(bikes, int(bikes * MOVED)) * 1000
        rows.append(judged("gbfs", f"again, 1 % moved, {what}", "ms", again, Mark(at_most=1000)))
        rows.append(_served(bench, bikes))
    return rows


def _served(bench: Bench, bikes: int) -> Row:
    def prepare(ground: Ground) -> None:
        with contextlib.closing(ground.bikes()) as connection:
            fleet.fill(connection, bikes)

    with bench.another(f"gbfs_{bikes}", prepare) as stack:
        feed = _feed(stack, bikes)
        (bench.folder / STATIC_FILE).write_bytes(feed)
        ours, file = bench.compare(
            _reader(bench, f"feed of {bikes:,} bikes", stack, feed),
            _reader(bench, f"a file of {len(feed) / 1e6:.2f} MB", bench.http_only, feed),
        )
    return faster("gbfs", "req/s", ours, file, Mark(at_least=0.8))


def _feed(stack: Stack, bikes: int) -> bytes:
    """The feed as it is sent, once it has all bikes. Raises BenchmarkError."""
    until = time.monotonic() + LOAD_LIMIT_S
    with loopback.session() as session:
        while True:
            plain = session.get(stack.url + PATH, headers={"Accept-Encoding": "identity"}, timeout=20)
            if plain.status_code == requests.codes.ok and plain.text.count('"vehicle_id"') == bikes:
                packed = session.get(stack.url + PATH, headers={"Accept-Encoding": "gzip"}, stream=True, timeout=20)
                raw: bytes = packed.raw.read(decode_content=False)
                return raw
            if time.monotonic() > until:
                raise BenchmarkError(f"the feed has not all of {bikes:,} bikes: {plain.status_code}")
            time.sleep(0.2)  # until it is asked again; `until` bounds it


def _reader(bench: Bench, name: str, stack: Stack, feed: bytes) -> Contender:
    variables = {"BENCH_PATH": PATH, "BENCH_LEAST": str(len(feed) * 9 // 10)}
    load = Load("feed", stack.url, variables, CONNECTIONS)
    return Contender(name, lambda seconds: wrk.run([load], seconds), bench.groups(stack))


WORKLOAD = Workload("gbfs", 95, run, long=True)
