"""The live stream with many readers: what they cost the gateway's memory, and when the last one sees an event."""

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import fleet, loads, usage
from benchmarks.bench import Bench
from benchmarks.errors import BenchmarkError
from benchmarks.figures import percentile
from benchmarks.marks import Mark
from benchmarks.registry import Workload
from benchmarks.rows import Row, judged
from benchmarks.stream_readers import StreamReaders, reading
from infrastructure.local import loopback
from shared import jwt

GATEWAY = "gateway_service"
# Before the readers come, so that what the gateway's own start takes is not counted for them.
WARM_UP_EVENTS = 20
EVENTS_A_ROUND = 10
MEMORY_MARK, DELAY_MARK = Mark(less_than=20), Mark(less_than=1000)


def run(bench: Bench, values: Mapping[str, int]) -> Sequence[Row]:
    stack = loads.filled(bench.ours, values["moving"])
    token = jwt.mint(bench.secret, jwt.OPERATOR, "benchmark", dt.timedelta(hours=1))
    pids = stack.groups[GATEWAY]
    with loopback.session() as session:
        session.headers["Authorization"] = f"Bearer {token}"
        bikes = fleet.bike_ids(values["moving"])
        with reading(stack.url, token, 1) as one:
            _delays(session, stack.url, one, bikes, WARM_UP_EVENTS)
        before = usage.resident(pids)
        with reading(stack.url, token, values["readers"]) as readers:
            delays = _delays(session, stack.url, readers, bikes, EVENTS_A_ROUND * bench.settings.rounds)
            after = usage.resident(pids)
    each = (after - before) / values["readers"] / 1024
    what = f"{values['readers']:,} readers, gateway {before / 1e6:.0f} to {after / 1e6:.0f} MB"
    moving = f"to the last of {values['readers']:,}, {values['moving']} bikes moving"
    return [
        judged("stream", what, "KiB/reader", each, MEMORY_MARK),
        judged("stream", f"{moving}, p50", "ms", percentile(delays, 50), None),
        judged("stream", f"{moving}, p99", "ms", percentile(delays, 99), DELAY_MARK),
    ]


def _delays(session: Any, url: str, readers: StreamReaders, bikes: Sequence[str], events: int) -> list[float]:
    """Milliseconds from asking for a new bike until the last reader has seen it, for each of so many."""
    delays = []
    for _ in range(events):
        now = dt.datetime.now(dt.UTC).isoformat()
        location = {"type": "Point", "coordinates": [8.5, 47.3]}
        positions = [{"bike_id": each, "recorded_at": now, "location": location} for each in bikes]
        _ask(session, f"{url}/v1/positions", {"positions": positions}, 202)
        began = time.monotonic()
        bike = _ask(session, f"{url}/v1/bikes", {}, 201)
        delays.append((readers.wait_for(bike["id"].encode()) - began) * 1000)
    return delays


def _ask(session: Any, url: str, body: Any, status: int) -> Any:
    answer = session.post(url, json=body, timeout=10)
    if answer.status_code != status:
        raise BenchmarkError(f"{url} answered {answer.status_code}: {answer.text[:300]}")
    return answer.json()


WORKLOAD = Workload("stream", 115, run, long=True, parameters={"readers": 1000, "moving": 100})
