"""SIGTERM to the services, alone or while what they need is away."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import eventlet
import psycopg2

from tests.e2e.client import Json, ok
from tests.faults.ledger import Entry
from tests.faults.stack import Stack
from tests.faults.supervisor import SERVICES
from tests.faults.trial import Fault, nothing_else
from tests.waiting import eventually

LIMIT_S = 10.0
# What a service logs then.
STOPPING = '"stopping"'


def terminate(stack: Stack, rng: random.Random, services: Sequence[str]) -> None:
    """All of `services` at once; fails when one takes too long (its exit code is judged with all the others)."""
    running = [eventlet.spawn(stack.supervisor.terminate, service) for service in services]
    took = dict(zip(services, (thread.wait()[1] for thread in running), strict=True))
    assert max(took.values()) <= LIMIT_S, f"seconds from SIGTERM to the end: {took}"


def terminate_at_work(stack: Stack, rng: random.Random, service: str) -> float:
    """Terminate it while a request of ours waits for a lock, which comes free afterwards; returns when that was.

    The request has to go well. It starts a trip where the service is bike_service, and ends one elsewhere.
    """
    rider, bike_id = stack.api.rider(), stack.add_bikes(1)[0]["id"]

    def start() -> Json:
        return ok(rider.post("/v1/trips", {"bike_id": bike_id}), 201)

    if service == "bike_service":
        with locked(stack, "bike_service", "bikes", bike_id) as is_waited_for:
            running = eventlet.spawn(start)
            stopping, struck = _terminate_when(stack, service, is_waited_for)
        trip_id = running.wait()["id"]
    else:
        trip_id = start()["id"]
        with locked(stack, "trip_service", "trips", trip_id) as is_waited_for:
            running = eventlet.spawn(lambda: ok(rider.post(f"/v1/trips/{trip_id}/end")))
            stopping, struck = _terminate_when(stack, service, is_waited_for)
        assert running.wait()["status"] == "ended"
    took_s = stopping.wait()[1]
    assert took_s <= LIMIT_S, f"{took_s:.1f} s from SIGTERM to the end"
    return struck


def _terminate_when(stack: Stack, service: str, is_waited_for: Callable[[], bool]) -> tuple[Any, float]:
    """Send SIGTERM once somebody waits for the lock; returns when the service has begun to stop."""
    log = stack.folder / f"{service}.log"
    stops = log.read_text().count(STOPPING)
    eventually(is_waited_for)
    struck, stopping = time.time(), eventlet.spawn(stack.supervisor.terminate, service)
    eventually(lambda: log.read_text().count(STOPPING) > stops)
    return stopping, struck


@contextmanager
def locked(stack: Stack, service: str, table: str, row_id: str) -> Iterator[Callable[[], bool]]:
    """Whatever changes this row waits within; what is yielded tells whether something does."""
    connection = psycopg2.connect(stack.database_urls[service])
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT FROM {table} WHERE id = %s FOR UPDATE", (row_id,))
        yield lambda: bool(stack.query(service, waiting, connection.info.backend_pid)[0][0])
    finally:
        connection.close()


def terminate_without(stack: Stack, rng: random.Random, what: str) -> None:
    with {"broker": without_broker, "databases": without_databases}[what](stack):
        terminate(stack, rng, SERVICES)


@contextmanager
def without_broker(stack: Stack) -> Iterator[None]:
    stack.servers.broker.kill()
    yield
    stack.servers.broker.start()


@contextmanager
def without_databases(stack: Stack) -> Iterator[None]:
    """One is gone, the other is silent."""
    gone, silent = stack.servers.databases.values()
    gone.stop()
    silent.pause()
    try:
        yield
    finally:
        silent.resume()
        gone.start()


def cut_off(entries: Sequence[Entry], struck: float) -> list[str]:
    """What the gateway had accepted when its signal came has to go well.

    Of the other services one cannot tell from outside: what had not reached them yet gets a 503. For them
    `terminate_at_work` sees to it.
    """
    running = [entry for entry in entries if entry.began < struck < entry.ended and entry.op != "publish"]
    return [f"{entry.op} was running at SIGTERM and failed: {entry.outcome}" for entry in running if entry.failed]


ALONE = [
    Fault(f"SIGTERM to {service}", partial(terminate_at_work, service=service), ((service, 0),), judge=judge)
    for service, judge in {**dict.fromkeys(SERVICES, nothing_else), "gateway_service": cut_off}.items()
]
WITHOUT = [
    Fault(f"SIGTERM to all, the {what} away", partial(terminate_without, what=what), tuple((s, 0) for s in SERVICES))
    for what in ("broker", "databases")
]
