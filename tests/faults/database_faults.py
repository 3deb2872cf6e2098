"""Faults of the PostgreSQL of one service."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import eventlet
import psycopg2
import requests

from tests.faults.servers import Database
from tests.faults.stack import Stack
from tests.faults.trial import Fault
from tests.waiting import eventually

# How long each of the faults lasts.
STOPPED_S, PAUSED_S, TAKEN_S = 10.0, 10.0, 3.0
# More calls at once than a service's pool has connections (20, and 10 more when it must).
CROWD = 60
TABLES = {"bike_service": "bikes", "trip_service": "trips"}
READS = {"bike_service": "/v1/bikes?limit=1", "trip_service": "/v1/trips?limit=1"}


def stop(stack: Stack, database: Database, service: str) -> None:
    database.stop()
    eventlet.sleep(STOPPED_S)
    database.start()


def kill(stack: Stack, database: Database, service: str) -> None:
    database.kill()
    database.start()


def pause(stack: Stack, database: Database, service: str) -> None:
    database.pause()
    try:
        eventlet.sleep(PAUSED_S)
    finally:
        database.resume()


def cut_connections(stack: Stack, database: Database, service: str) -> None:
    assert database.cut_connections() > 0


def exhaust_pool(stack: Stack, database: Database, service: str) -> None:
    """A long transaction of somebody else's holds the table, and more calls come than there are connections."""
    connection = psycopg2.connect(stack.database_urls[service])
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '5s'")
            cursor.execute(f"LOCK TABLE {TABLES[service]} IN ACCESS EXCLUSIVE MODE")
        operator = stack.api.operator()
        crowd = [eventlet.spawn(operator.get, READS[service]) for _ in range(CROWD)]
        assert operator.get("/ping").elapsed.total_seconds() < 2, "the gateway hangs with the service"
        statuses = {thread.wait().status_code for thread in crowd}
        assert statuses <= {503, 504}, statuses
    finally:
        connection.close()


def take_all_connections(stack: Stack, database: Database, service: str) -> None:
    """No connection is left for the service, and it loses those that it has."""
    with all_connections_taken(stack, database, service):
        with requests.Session() as session:
            session.trust_env = False
            url = f"{stack.gateway_url}/health"
            eventually(lambda: session.get(url, timeout=5).status_code == requests.codes.unavailable)
        eventlet.sleep(TAKEN_S)


@contextmanager
def all_connections_taken(stack: Stack, database: Database, service: str) -> Iterator[None]:
    taken = []

    def is_full() -> bool:
        try:
            taken.append(psycopg2.connect(stack.database_urls[service]))
        except psycopg2.OperationalError:
            return True
        return False

    try:
        eventually(is_full, 30)
        mine = {connection.info.backend_pid for connection in taken}
        database.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND application_name = %s AND pid <> ALL(%s)",
            service,
            list(mine),
        )
        eventually(is_full, 30)
        yield
    finally:
        for connection in taken:
            connection.close()


Strike = Callable[[Stack, Database, str], None]
KINDS: list[tuple[str, Strike, bool]] = [
    ("stopped for 10 s", stop, True),
    ("killed with -9", kill, False),
    ("paused for 10 s", pause, True),
    ("loses all its connections", cut_connections, False),
    ("is locked, its pool exhausted", exhaust_pool, True),
    ("has no connection left", take_all_connections, True),
]


def _strike(stack: Stack, rng: random.Random, service: str, strike: Strike) -> None:
    strike(stack, stack.servers.databases[service], service)


FAULTS = {
    (service, kind): Fault(
        f"PostgreSQL of {service} {kind}",
        partial(_strike, service=service, strike=strike),
        is_felt=is_felt,
    )
    for service in TABLES
    for kind, strike, is_felt in KINDS
}
# In the short form each kind once, now with the one, now with the other, but for the last, which takes long to set up.
SHORT = [FAULTS[list(TABLES)[index % len(TABLES)], kind] for index, (kind, _, _) in enumerate(KINDS[:-1])]
