"""trip_service's tables, and its settings as they reach them."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from shared import migrate, position_messages
from shared.batch import Delivery
from tests.integration import builders
from tests.integration.builders import ago, new_id, position, query, ride, transaction
from tests.integration.schema import columns, migrated, plans
from tests.waiting import eventually
from trip_service import operations
from trip_service.domain import Tariff
from trip_service.models import Base
from trip_service.repositories import NewTrip, Trips
from trip_service.service import TripService
from trip_service.settings import nameko_config


def test_the_models_are_what_the_migrations_make(trip_database_url: str) -> None:
    assert columns(migrated(trip_database_url, list(Base.metadata.tables))) == columns(Base.metadata)


def test_migrating_again_changes_nothing(trip_database_url: str) -> None:
    trip = ride(trip_database_url)
    migrate.upgrade("trip_service", trip_database_url)
    assert query(trip_database_url, "SELECT status FROM trips WHERE id = :id", id=trip["id"]) == [("active",)]


def test_no_bike_and_no_rider_is_in_two_active_trips(trip_database_url: str) -> None:
    bike_id, rider_id = new_id(), new_id()
    ride(trip_database_url, bike_id, rider_id)
    sql = "INSERT INTO trips (id, bike_id, rider_id, status, started_at) VALUES (:id, :bike, :rider, 'active', now())"
    with pytest.raises(IntegrityError, match="trips_one_active_per_bike"):
        query(trip_database_url, sql, id=new_id(), bike=bike_id, rider=new_id())
    with pytest.raises(IntegrityError, match="trips_one_active_per_rider"):
        query(trip_database_url, sql, id=new_id(), bike=new_id(), rider=rider_id)
    with transaction(trip_database_url) as session:
        new = [NewTrip(new_id(), bike_id, new_id(), ago(1), None), NewTrip(new_id(), new_id(), rider_id, ago(1), None)]
        assert Trips(session).start(new) == {}


@pytest.mark.parametrize(
    "change",
    [
        "status = 'lost'",
        "status = 'ended'",
        "status = 'ended', ended_at = now()",
        "status = 'cancelled'",
        "ended_at = now()",
        "status = 'cancelled', ended_at = started_at - interval '1 s'",
        "status = 'cancelled', ended_at = now(), ended_by = 'nobody'",
        "fare_amount = 1",
    ],
)
def test_the_database_refuses_a_trip_that_cannot_be(trip_database_url: str, change: str) -> None:
    trip = ride(trip_database_url)
    with pytest.raises(IntegrityError):
        query(trip_database_url, f"UPDATE trips SET {change} WHERE id = :id", id=trip["id"])


BUSY_BIKE = new_id()


@pytest.mark.parametrize(
    ("index", "criteria"),
    [
        ("trips_newest", {}),
        ("trips_newest_of_rider", {"rider_id": "rider 7"}),
        ("trips_newest_of_bike", {"bike_id": BUSY_BIKE}),
    ],
)
def test_a_list_uses_its_index(trip_database_url: str, index: str, criteria: dict[str, Any]) -> None:
    insert = """
        INSERT INTO trips (id, bike_id, rider_id, status, started_at, ended_at)
        SELECT gen_random_uuid(), CASE WHEN n % 10 = 0 THEN CAST(:busy AS uuid) ELSE gen_random_uuid() END,
            'rider ' || n, 'cancelled', now() - make_interval(secs => n), now()
        FROM generate_series(1, 5000) AS n WHERE NOT EXISTS (SELECT FROM trips WHERE rider_id = 'rider 5000')
    """
    query(trip_database_url, insert, busy=BUSY_BIKE)
    query(trip_database_url, "ANALYZE trips")

    def run(session: Session) -> None:
        Trips(session).find(criteria, (ago(60), new_id()), 51)

    [plan] = plans(trip_database_url, run)
    assert f"{index} on trips" in plan
    assert "Seq Scan" not in plan


@pytest.fixture
def start_with(amqp_uri: str, trip_database_url: str) -> Callable[..., Any]:
    def run(**environ: str) -> Any:
        config = nameko_config({"TRIP_DATABASE_URL": trip_database_url, **environ})
        return builders.running(TripService, amqp_uri, **config)

    return run


def test_the_tariff_is_that_of_the_environment(
    start_with: Callable[..., Any], amqp_uri: str, trip_database_url: str
) -> None:
    trip = ride(trip_database_url, started_at=ago(59 * 60 + 30))
    settings = {"FARE_UNLOCK": "0.10", "FARE_PER_MINUTE": "0.07", "FARE_CURRENCY": "CHF"}
    with start_with(**settings), builders.calling(amqp_uri) as proxy:
        assert proxy.trip_service.end(trip["id"])["fare"] == {"amount": "4.30", "currency": "CHF"}
        # A running service makes its partitions by itself.
        eventually(lambda: query(trip_database_url, "SELECT count(*) FROM pg_inherits")[0][0] > 38)
    sql = "SELECT fare_amount, fare_currency FROM trips WHERE id = :id"
    assert query(trip_database_url, sql, id=trip["id"]) == [(Decimal("4.30"), "CHF")]


def test_the_trips_of_a_batch_of_positions_are_found_by_an_index(trip_database_url: str) -> None:
    insert = """
        INSERT INTO trips (id, bike_id, rider_id, status, started_at, ended_at)
        SELECT gen_random_uuid(), gen_random_uuid(), 'walker ' || n, 'cancelled',
            now() - make_interval(mins => n), now() - make_interval(mins => n - 1)
        FROM generate_series(1, 20000) AS n WHERE NOT EXISTS (SELECT FROM trips WHERE rider_id = 'walker 20000')
    """
    query(trip_database_url, insert)
    query(trip_database_url, "ANALYZE trips")
    raw = [position(new_id(), ago(60 * n)) for n in range(10)]
    positions, bad = position_messages.read(Delivery(json.dumps({"positions": raw}).encode(), "fleet.position"))
    assert not bad

    def run(session: Session) -> None:
        Trips(session).touch_routes(positions, None)

    [plan] = plans(trip_database_url, run)
    assert "trips_by_time" in plan
    assert "Seq Scan on trips" not in plan


def test_a_batch_of_starts_and_ends_finds_its_trips_and_positions_by_their_indexes(trip_database_url: str) -> None:
    query(
        trip_database_url,
        """
        INSERT INTO trips (id, bike_id, rider_id, status, started_at, ended_at)
        SELECT gen_random_uuid(), gen_random_uuid(), 'runner ' || n, 'cancelled', now(), now()
        FROM generate_series(1, 20000) AS n
        """,
    )
    query(
        trip_database_url,
        """
        INSERT INTO positions (bike_id, recorded_at, longitude, latitude)
        SELECT gen_random_uuid(), now() - make_interval(secs => n), 8, 47 FROM generate_series(1, 20000) AS n
        """,
    )
    query(trip_database_url, "ANALYZE trips, positions")

    def run(session: Session) -> None:
        trips, new = Trips(session), [NewTrip(new_id(), new_id(), new_id(), ago(60), None) for _ in range(100)]
        trips.by_ids((each.trip_id for each in new), tombstones=True)
        trips.active_of_riders(each.rider_id for each in new)
        trips.start(new)
        calls = [{"trip_id": each.trip_id} for each in new]
        assert len(operations.end(session, calls, Tariff(Decimal(1), Decimal(1), "EUR"))) == 100

    found = [plan for plan in plans(trip_database_url, run) if "on trips" in plan or "on positions" in plan]
    assert len(found) == 7
    assert not [plan for plan in found if "Seq Scan on trips" in plan or "Seq Scan on positions" in plan], found
