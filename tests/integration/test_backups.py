"""Backups of the services' databases, taken while they work, and what a restored one holds."""

import random
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import eventlet
import pytest
from sqlalchemy import text

from infrastructure import backups, postgres_programs
from infrastructure.local.errors import LocalError
from infrastructure.postgres_programs import Target
from shared import migrate
from tests.conftest import PrivateParts, unique_name
from tests.integration import builders
from tests.integration.broker import Broker
from tests.integration.builders import Json, ago, position
from tests.integration.conftest import as_sqlalchemy
from tests.waiting import eventually

ZURICH = (8.54, 47.37)


@pytest.fixture(scope="module")
def services(amqp_uri: str, bike_database_url: str, trip_database_url: str) -> Iterator[Any]:
    with builders.both_services(amqp_uri, bike_database_url, trip_database_url) as proxy:
        yield proxy


@pytest.fixture
def empty(private_parts: PrivateParts) -> Callable[[], str]:
    """Makes an empty database; returns its URL."""
    return lambda: as_sqlalchemy(private_parts.postgres.create_database(unique_name("restored")))


def target(url: str) -> Target:
    return Target.of(url, "URL")


def back_up(url: str, service: str, folder: Path) -> Path:
    return backups.backup(target(url), service, folder, datetime.now(UTC))


def rows(url: str, query: str) -> list[Any]:
    with builders.engine(url).connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def ride(services: Any, broker: Broker, rider_id: str) -> Json:
    """One whole ride with a dozen positions; its trip as it is at last."""
    bike_id = services.bike_service.add()["id"]
    trip = services.trip_service.start(bike_id, rider_id)
    for _ in range(12):
        where = (ZURICH[0] + random.random() / 100, ZURICH[1] + random.random() / 100)
        broker.report(position(bike_id, ago(0), where))
    eventually(lambda: len(services.trip_service.route(trip["id"])["properties"]["recorded_at"]) == 12)
    services.trip_service.end(trip["id"])
    found: Json = services.trip_service.get(trip["id"])
    return found


def test_rides_that_ended_before_a_backup_of_a_working_system_are_all_in_it(
    services: Any, amqp_uri: str, bike_database_url: str, trip_database_url: str, tmp_path: Path, empty: Any
) -> None:
    ended: list[Json] = []
    broken: list[BaseException] = []
    going_on = True

    def riding(number: int) -> None:
        broker = Broker(amqp_uri)
        try:
            with builders.calling(amqp_uri) as proxy:
                while going_on:
                    ended.append(ride(proxy, broker, f"rider-{number}-{len(ended)}"))
        except BaseException as error:  # the test looks at it; a greenlet would only print it
            broken.append(error)
        finally:
            broker.close()

    riders = [eventlet.spawn(riding, number) for number in range(3)]
    eventually(lambda: broken or len(ended) >= 10, timeout=60)
    before = list(ended)
    files = {
        "trip_service": back_up(trip_database_url, "trip_service", tmp_path),
        "bike_service": back_up(bike_database_url, "bike_service", tmp_path),
    }
    eventually(lambda: broken or len(ended) > len(before) + 3, timeout=60)
    going_on = False
    for rider in riders:
        rider.wait()
    assert not broken
    urls = {service: empty() for service in files}
    for service, file in files.items():
        backups.restore(target(urls[service]), file)
        migrate.upgrade(service, urls[service])
    restored = {trip["id"]: trip for trip in all_trips(urls["trip_service"])}
    assert len(before) >= 10
    assert [restored[trip["id"]] for trip in before] == before
    assert len(restored) < len(ended) + len(riders), "the backup is of a moment before the end"
    bikes = {str(bike_id) for (bike_id,) in rows(urls["bike_service"], "SELECT id FROM bikes")}
    assert {trip["bike_id"] for trip in before} <= bikes
    ids = ", ".join(f"'{trip['bike_id']}'" for trip in before)
    counts = rows(urls["trip_service"], f"SELECT count(*) FROM positions WHERE bike_id IN ({ids}) GROUP BY bike_id")
    assert counts == [(12,)] * len(before)


def all_trips(url: str) -> list[Json]:
    """Every trip, as the service that owns the database shows it."""
    with builders.transaction(url) as session:
        ids = session.scalars(text("SELECT id::text FROM trips WHERE status <> 'void'")).all()
        return [builders.operations.get(session, trip_id, None) for trip_id in ids]


def test_a_restored_database_takes_new_work(
    amqp_uri: str, bike_database_url: str, services: Any, tmp_path: Path, empty: Any
) -> None:
    bike = services.bike_service.add({"location": builders.point(ZURICH), "name": unique_name("bike")})
    file = back_up(bike_database_url, "bike_service", tmp_path)
    url = empty()
    backups.restore(target(url), file)
    owners = rows(url, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")
    assert owners == [(target(url).environment["PGUSER"],)]
    migrate.upgrade("bike_service", url)
    assert rows(url, f"SELECT name FROM bikes WHERE id = '{bike['id']}'") == [(bike["name"],)]
    assert rows(url, f"SELECT sphere IS NOT NULL FROM bikes WHERE id = '{bike['id']}'") == [(True,)]
    added = rows(url, "INSERT INTO outbox (event_id, type, payload) VALUES ('x', 'y', 'z') RETURNING id > 0")
    assert added == [(True,)]


def test_a_backup_is_for_its_owner_only_and_never_half(trip_database_url: str, tmp_path: Path, empty: Any) -> None:
    folder = tmp_path / "backups"
    file = back_up(trip_database_url, "trip_service", folder)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with pytest.raises(LocalError, match="holds no tables"):
        backups.backup(target(empty()), "trip_service", folder, datetime(2026, 5, 1, tzinfo=UTC))
    assert list(folder.iterdir()) == [file]


def test_nothing_is_restored_over_data(trip_database_url: str, tmp_path: Path) -> None:
    file = back_up(trip_database_url, "trip_service", tmp_path)
    before = rows(trip_database_url, "SELECT count(*) FROM trips")
    with pytest.raises(LocalError, match="is not empty"):
        backups.restore(target(trip_database_url), file)
    assert rows(trip_database_url, "SELECT count(*) FROM trips") == before


def test_a_broken_file_leaves_the_database_empty(trip_database_url: str, tmp_path: Path, empty: Any) -> None:
    file = back_up(trip_database_url, "trip_service", tmp_path)
    file.write_bytes(file.read_bytes()[:-2000])
    url = empty()
    with pytest.raises(LocalError, match="pg_restore failed"):
        backups.restore(target(url), file)
    assert rows(url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_programs_older_than_the_server_are_refused(trip_database_url: str) -> None:
    server = postgres_programs.server_version(target(trip_database_url))
    postgres_programs.check_version("pg_dump", server)
    with pytest.raises(LocalError, match=f"the server of {server + 1}: use one of {server + 1} or newer"):
        postgres_programs.check_version("pg_dump", server + 1)
