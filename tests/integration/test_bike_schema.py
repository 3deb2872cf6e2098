"""bike_service's tables: they are what the models say, and the queries find their indexes."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bike_service import read_rows
from bike_service.domain import Viewer
from bike_service.models import Base
from bike_service.repositories import Bikes
from shared import migrate
from shared.errors import Conflict
from tests.integration.builders import new_id, query, transaction
from tests.integration.schema import columns, migrated, plans

FLEET = """
    INSERT INTO bikes (id, status, longitude, latitude, located_at)
    SELECT gen_random_uuid(), CASE WHEN n % 10 = 0 THEN 'out_of_service' ELSE 'available' END,
        8 + random(), 47 + random(), now()
    FROM generate_series(1, 20000) AS n
"""
SOMEBODY = Viewer("rider", "rita")


def near(bikes: Bikes, *asked: tuple[float, int, Viewer]) -> None:
    """The nearest to one place, for each with a radius and a limit of its own."""
    place = {"lat": 47.5, "lon": 8.5, "status": "available"}
    read_rows.near(bikes.session, [({**place, "radius": radius, "limit": limit}, who) for radius, limit, who in asked])


@pytest.fixture(scope="module")
def fleet(bike_database_url: str) -> str:
    """A database with 20 000 bikes."""
    query(bike_database_url, FLEET)
    query(bike_database_url, "ANALYZE bikes")
    return bike_database_url


# The type of a computed column, which no model has.
@pytest.mark.filterwarnings("ignore:Did not recognize type 'cube'")
def test_the_models_are_what_the_migrations_make(bike_database_url: str) -> None:
    assert columns(migrated(bike_database_url, list(Base.metadata.tables))) == columns(Base.metadata)


def test_migrating_again_changes_nothing(fleet: str) -> None:
    before = query(fleet, "SELECT count(*) FROM bikes")
    migrate.upgrade("bike_service", fleet)
    assert query(fleet, "SELECT count(*) FROM bikes") == before


@pytest.mark.parametrize(
    ("index", "work"),
    [
        ("bikes_to_rent_by_sphere", lambda bikes: near(bikes, (1000.0, 50, SOMEBODY))),
        ("bikes_to_rent_by_sphere", lambda bikes: near(bikes, (50_000.0, 500, Viewer()))),
        ("bikes_to_rent_by_sphere", lambda bikes: near(bikes, *[(1000.0, 20, SOMEBODY)] * 20)),
        ("bikes_pkey", lambda bikes: read_rows.by_ids(bikes.session, [new_id() for _ in range(100)])),
        ("bikes_by_place", lambda bikes: bikes.find(None, (8.5, 47.5, 8.52, 47.52), None, 51, SOMEBODY)),
        ("bikes_by_place", lambda bikes: bikes.find("available", (8.5, 47.5, 8.52, 47.52), None, 51, Viewer())),
        ("bikes_by_place", lambda bikes: bikes.find(None, (179.9, 47.5, -179.9, 47.6), None, 51, SOMEBODY)),
        ("bikes_pkey", lambda bikes: bikes.find(None, None, new_id(), 51, SOMEBODY)),
        ("bikes_by_status", lambda bikes: bikes.find("out_of_service", None, new_id(), 51, SOMEBODY)),
        ("bikes_by_status", lambda bikes: bikes.find("retired", None, None, 51, SOMEBODY)),
        ("bikes_by_status", lambda bikes: bikes.check_outs(15, None, 501)),
    ],
)
def test_a_query_uses_its_index_and_no_sequential_scan(fleet: str, index: str, work: Callable[[Bikes], Any]) -> None:
    def run(session: Session) -> None:
        work(Bikes(session))

    found = plans(fleet, run)
    assert index in found[0], found[0]
    assert not [plan for plan in found if "Seq Scan on bikes" in plan], found


def test_a_batch_of_check_outs_and_check_ins_finds_its_bikes_by_their_key(fleet: str) -> None:
    ids = [bike_id for (bike_id,) in query(fleet, "SELECT id::text FROM bikes WHERE status = 'available' LIMIT 100")]
    calls = [{"bike_id": each, "trip_id": new_id(), "rider_id": "rita", "origin": None} for each in ids]

    def run(session: Session) -> None:
        assert len(Bikes(session).check_out(calls)) == 100
        assert Bikes(session).check_in(calls) == [True] * 100

    found = [plan for plan in plans(fleet, run) if "on bikes" in plan]
    assert len(found) == 4
    assert all("bikes_pkey" in plan and "Seq Scan on bikes" not in plan for plan in found), found


@pytest.mark.parametrize(
    "change",
    [
        "status = 'in_use'",
        "status = 'lost'",
        "trip_id = gen_random_uuid(), rider_id = 'rita', checked_out_at = now()",
        "longitude = NULL",
        "latitude = 91",
        "longitude = -181",
        "battery_percent = 101",
    ],
)
def test_the_database_refuses_a_bike_that_cannot_be(bike_database_url: str, change: str) -> None:
    bike = (
        "INSERT INTO bikes (id, longitude, latitude, located_at) VALUES (gen_random_uuid(), 8, 47, now()) RETURNING id"
    )
    [(bike_id,)] = query(bike_database_url, bike)
    with pytest.raises(IntegrityError):
        query(bike_database_url, f"UPDATE bikes SET {change} WHERE id = :id", id=bike_id)
    query(bike_database_url, "DELETE FROM bikes WHERE id = :id", id=bike_id)


def test_one_trip_has_one_bike(bike_database_url: str) -> None:
    trip_id = new_id()
    with transaction(bike_database_url) as session:
        first, second = Bikes(session).add_many([{"id": new_id()}, {"id": new_id()}])
        wanted = [
            {"bike_id": bike.id, "trip_id": trip_id, "rider_id": "rita", "origin": None} for bike in (first, second)
        ]
        assert Bikes(session).check_out(wanted[:1]).keys() == {first.id}
        with pytest.raises(Conflict):
            Bikes(session).check_out(wanted[1:])
        session.rollback()
