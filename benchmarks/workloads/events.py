"""Events of ended trips out of trip_service's outbox, until bike_service has handled them and the bikes are free."""

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks import checks, loads, waiting
from benchmarks.bench import Bench
from benchmarks.errors import BenchmarkError
from benchmarks.marks import Mark
from benchmarks.measure import Contender, Sample
from benchmarks.registry import Workload
from benchmarks.rows import Row, faster
from benchmarks.stacks import Stack
from infrastructure.local import loopback

BIKES = 20_000
FIRST_PER_S = 200
LIMIT_S = 120
# Checked out "tomorrow": the sweeper looks at what is older than 15 s, and these have no trip that it could find.
CHECK_OUT = """
    UPDATE bikes SET status = 'in_use', trip_id = gen_random_uuid(), rider_id = 'benchmark',
        checked_out_at = now() + interval '1 day'
    WHERE id IN (SELECT id FROM bikes WHERE status = 'available' LIMIT %s)
    RETURNING trip_id::text, id::text
"""
IN_USE = "SELECT count(*) FROM bikes WHERE status = 'in_use'"
TRIP = {
    "rider_id": "benchmark",
    "status": "ended",
    "started_at": "2026-11-24T12:00:00Z",
    "ended_at": "2026-11-24T12:10:00Z",
    "ended_by": "rider",
    "start_location": {"type": "Point", "coordinates": [-72.64, 42.32]},
    "end_location": {"type": "Point", "coordinates": [-72.63, 42.33]},
    "distance_m": 1381.2,
    "duration_s": 600,
    "fare": {"amount": "3.00", "currency": "EUR"},
    "revision": 2,
}
RECORD = """
    INSERT INTO outbox (event_id, type, payload)
    SELECT event.id, 'trip_ended', json_build_object('id', event.id, 'type', 'trip_ended',
        'occurred_at', '2026-11-24T12:10:00Z', 'version', 1, 'data', trip)::text
    FROM (SELECT gen_random_uuid()::text AS id, trip FROM json_array_elements(%s::json) AS trip) AS event
"""


def contender(bench: Bench, name: str, stack: Stack, send: Callable[[Stack, list[dict[str, Any]]], None]) -> Contender:
    """`send` has the stack publish an event for each trip."""
    rates: list[float] = []
    trips: list[dict[str, Any]] = []

    def prepare(seconds: float) -> None:
        count = int(min(max((rates[-1] if rates else FIRST_PER_S) * seconds, 1), BIKES))
        with contextlib.closing(stack.ground.bikes()) as connection, connection.cursor() as cursor:
            cursor.execute(CHECK_OUT, (count,))
            trips[:] = [{"id": trip, "bike_id": bike, **TRIP} for trip, bike in cursor]

    def run(seconds: float) -> Sample:
        with contextlib.closing(stack.ground.bikes()) as connection:
            started = time.monotonic()
            send(stack, trips)
            waiting.wait_until(f"{len(trips)} events handled", lambda: checks.scalar(connection, IN_USE) == 0, LIMIT_S)
            taken = time.monotonic() - started
        rates.append(len(trips) / taken)
        return Sample(len(trips), taken)

    return Contender(name, run, bench.groups(stack), prepare)


def record(stack: Stack, trips: list[dict[str, Any]]) -> None:
    """Put the events into the outbox, in one transaction."""
    with contextlib.closing(stack.ground.trips()) as connection, connection.cursor() as cursor:
        cursor.execute(RECORD, (json.dumps(trips),))


def dispatch(stack: Stack, trips: list[dict[str, Any]]) -> None:
    """Have stock nameko dispatch them. Raises BenchmarkError."""
    with loopback.session() as session:
        answer = session.post(f"{stack.url}/events", json={"trips": trips}, timeout=LIMIT_S)
    if answer.text != f'{{"dispatched":{len(trips)}}}':
        raise BenchmarkError(f"events were not dispatched: {answer.status_code} {answer.text[:300]}")


def run(bench: Bench, values: Mapping[str, int]) -> Sequence[Row]:
    stacks = [loads.filled(stack, BIKES) for stack in (bench.ours, bench.stock)]
    ours, stock = bench.compare(
        contender(bench, "ours", stacks[0], record), contender(bench, "stock", stacks[1], dispatch)
    )
    checks.wait_outbox_empty(stacks[0].ground)
    return [faster("events", "events/s", ours, stock, Mark(at_least=5))]


WORKLOAD = Workload("events", 70, run)
