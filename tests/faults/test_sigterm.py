"""SIGTERM drains: what runs is answered, nothing new is begun, the exit code is 0."""

from collections.abc import Iterator
from contextlib import contextmanager

import eventlet
import psycopg2
import pytest

from tests.e2e.client import Json, ok
from tests.faults.report import Report
from tests.faults.sigterm_faults import ALONE, LIMIT_S, WITHOUT
from tests.faults.stack import Stack
from tests.faults.supervisor import SERVICES
from tests.faults.trial import Fault, endure
from tests.waiting import eventually

ROWS = {"bike_service": "bikes", "trip_service": "trips"}


@pytest.mark.parametrize("faults", [ALONE, WITHOUT], ids=["one service", "all, without what they need"])
def test_a_stop_under_load_loses_nothing(stack: Stack, report: Report, seed: int, faults: list[Fault]) -> None:
    endure(stack, report, seed, *faults)


@contextmanager
def locked(stack: Stack, service: str, row_id: str) -> Iterator[None]:
    """Whatever changes this row waits within."""
    connection = psycopg2.connect(stack.database_urls[service])
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT FROM {ROWS[service]} WHERE id = %s FOR UPDATE", (row_id,))
        yield
    finally:
        connection.close()


def wait_until_somebody_waits(stack: Stack, service: str) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    eventually(lambda: stack.query(service, waiting)[0][0] > 0)


@pytest.mark.parametrize("terminated", SERVICES)
def test_a_request_that_runs_is_answered(stack: Stack, terminated: str) -> None:
    rider, bike = stack.api.rider(), stack.add_bikes(1)[0]
    log = stack.folder / f"{terminated}.log"
    stops, exits = log.read_text().count('"stopping"'), len(stack.supervisor.exits)

    def start() -> Json:
        return ok(rider.post("/v1/trips", {"bike_id": bike["id"]}), 201)

    if terminated == "bike_service":
        with locked(stack, "bike_service", bike["id"]):
            running = eventlet.spawn(start)
            wait_until_somebody_waits(stack, "bike_service")
            stopping = eventlet.spawn(stack.supervisor.terminate, terminated)
            eventually(lambda: log.read_text().count('"stopping"') > stops)
        trip = running.wait()
    else:
        trip = start()
        with locked(stack, "trip_service", trip["id"]):
            running = eventlet.spawn(lambda: ok(rider.post(f"/v1/trips/{trip['id']}/end")))
            wait_until_somebody_waits(stack, "trip_service")
            stopping = eventlet.spawn(stack.supervisor.terminate, terminated)
            eventually(lambda: log.read_text().count('"stopping"') > stops)
        assert running.wait()["status"] == "ended"
    code, took_s = stopping.wait()
    assert (code, took_s <= LIMIT_S) == (0, True)
    stack.wait_until_healthy(stack.restarted_within_s)
    assert ok(rider.post(f"/v1/trips/{trip['id']}/end"))["status"] == "ended"
    eventually(lambda: ok(rider.get(f"/v1/bikes/{bike['id']}"))["status"] == "available")
    assert [(each.service, each.code) for each in stack.supervisor.exits[exits:]] == [(terminated, 0)]
