"""trip_service's positions: a partition a day, made ahead, filled from the default one, dropped when they are old."""

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import eventlet
import pytest

from shared import idempotency
from shared.geodesy import path_length_m
from tests.integration.builders import ago, new_id, position, query, ride, store, transaction
from tests.integration.schema import plans
from trip_service import operations
from trip_service.models import IdempotencyKey
from trip_service.positions import make_partition, partition_name
from trip_service.repositories import Trips

DAY = timedelta(days=1)
NOW = datetime(2026, 5, 10, 12, 0, tzinfo=UTC)
PLACES = [(8.5, 47.4), (8.51, 47.41), (8.52, 47.4)]

Sessions = Callable[[], AbstractContextManager[Any]]


@pytest.fixture
def url(trip_database_url: str) -> str:
    """A database without trips, positions, and partitions but the default one."""
    if days := partitions(trip_database_url):
        query(trip_database_url, f"DROP TABLE {', '.join(days)}")
    query(trip_database_url, "TRUNCATE trips, positions")
    return trip_database_url


def partitions(url: str) -> list[str]:
    """The partitions of days, in their order."""
    sql = "SELECT relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = 'positions'::regclass"
    return sorted(name for (name,) in query(url, sql) if name != "positions_default")


def where(url: str, bike_id: str) -> list[str]:
    """The partitions that hold a bike's positions, by time."""
    sql = "SELECT tableoid::regclass::text FROM positions WHERE bike_id = :id ORDER BY recorded_at"
    return [name for (name,) in query(url, sql, id=bike_id)]


def keep(url: str, now: datetime, retention: timedelta | None = None) -> None:
    operations.keep_partitions(partial(transaction, url), retention, now)


def names(first: datetime, last: datetime) -> list[str]:
    return [partition_name((first + n * DAY).date()) for n in range((last - first).days + 1)]


def test_partitions_are_made_for_late_positions_and_a_week_ahead(url: str) -> None:
    keep(url, NOW)
    assert partitions(url) == names(NOW - 31 * DAY, NOW + 7 * DAY)
    keep(url, NOW)
    keep(url, NOW + DAY)
    assert partitions(url) == names(NOW - 31 * DAY, NOW + 8 * DAY)


def test_days_are_those_of_utc_wherever_the_keeper_is(url: str) -> None:
    with transaction(url) as session:
        session.connection().exec_driver_sql("SET LOCAL TIME ZONE 'Pacific/Auckland'")
        for day in (NOW - DAY, NOW):
            make_partition(session, day.date())
    midnight = NOW.replace(hour=0)
    store(url, position(bike_id := new_id(), midnight - timedelta(microseconds=1)), position(bike_id, midnight))
    assert where(url, bike_id) == [partition_name((NOW - DAY).date()), partition_name(NOW.date())]


def test_keepers_at_the_same_time_do_not_disturb_each_other(url: str) -> None:
    for keeper in [eventlet.spawn(keep, url, NOW) for _ in range(4)]:
        keeper.wait()
    assert partitions(url) == names(NOW - 31 * DAY, NOW + 7 * DAY)


def test_a_ride_across_midnight_lands_in_two_partitions(url: str) -> None:
    keep(url, NOW)
    midnight = NOW.replace(hour=0)
    trip = ride(url, started_at=midnight - timedelta(minutes=5))
    moments = [midnight - timedelta(seconds=10), midnight, midnight + timedelta(seconds=10)]
    store(url, *(position(trip["bike_id"], when, place) for when, place in zip(moments, PLACES, strict=True)))
    yesterday, today = partition_name((NOW - DAY).date()), partition_name(NOW.date())
    assert where(url, trip["bike_id"]) == [yesterday, today, today]
    with transaction(url) as session:
        shown = operations.get(session, trip["id"], None)
    assert shown["distance_m"] == pytest.approx(path_length_m(PLACES), abs=0.01)


def test_a_position_of_no_partitions_day_waits_in_the_default_one(url: str) -> None:
    keep(url, NOW)
    bike_id, far = new_id(), [NOW - 400 * DAY, NOW + 10 * DAY, NOW]
    store(url, *(position(bike_id, when) for when in far))
    assert where(url, bike_id) == ["positions_default", partition_name(NOW.date()), "positions_default"]
    before = query(url, "SELECT * FROM positions ORDER BY recorded_at")
    keep(url, NOW + 3 * DAY)
    assert where(url, bike_id)[2] == partition_name((NOW + 10 * DAY).date())
    assert query(url, "SELECT * FROM positions ORDER BY recorded_at") == before
    # What has moved over is still known as the same.
    store(url, position(bike_id, far[1], (0, 0)))
    assert query(url, "SELECT * FROM positions ORDER BY recorded_at") == before


def test_retention_drops_whole_days_that_are_past_it(url: str) -> None:
    keep(url, NOW - 35 * DAY)
    assert partitions(url)[0] == partition_name((NOW - 66 * DAY).date())
    keep(url, NOW, retention=35 * DAY)
    assert partitions(url) == names(NOW - 35 * DAY, NOW + 7 * DAY)
    keep(url, NOW)
    assert partitions(url) == names(NOW - 35 * DAY, NOW + 7 * DAY)


def test_retention_holds_for_positions_of_no_partitions_day_too(url: str) -> None:
    keep(url, NOW)
    store(url, *(position(new_id(), when) for when in (NOW - 400 * DAY, NOW - 37 * DAY, NOW - 34 * DAY)))
    keep(url, NOW, retention=35 * DAY)
    assert query(url, "SELECT recorded_at FROM positions") == [(NOW - 34 * DAY,)]


def test_distances_are_measured_before_their_routes_are_dropped(url: str) -> None:
    sessions: Sessions = partial(transaction, url)
    keep(url, ago(40 * 86_400))
    trips = [ride(url, started_at=ago(50 * 86_400)) for _ in range(3)]
    for trip in trips:
        positions = [position(trip["bike_id"], ago(50 * 86_400 - 60 * n), p) for n, p in enumerate(PLACES, start=1)]
        store(url, *positions)
    assert query(url, "SELECT DISTINCT distance_m FROM trips") == [(0.0,)]
    operations.keep_partitions(sessions, 35 * DAY)
    assert query(url, "SELECT count(*) FROM positions") == [(0,)]
    for trip in trips:
        with transaction(url) as session:
            shown = operations.get(session, trip["id"], None)
        assert shown["distance_m"] == pytest.approx(path_length_m(PLACES), abs=0.01)


def test_without_a_retention_nothing_is_dropped(url: str) -> None:
    keep(url, ago(400 * 86_400))
    before = partitions(url)
    operations.keep_partitions(partial(transaction, url), None)
    assert set(before) < set(partitions(url))
    assert partition_name((datetime.now(UTC) + 7 * DAY).date()) in partitions(url)


def test_kept_answers_are_forgotten_after_a_day(url: str) -> None:
    old, young = new_id(), new_id()
    with transaction(url) as session:
        for key in (old, young):
            idempotency.begin(session, IdempotencyKey, "rita", key, "digest", new_id())
    query(url, "UPDATE idempotency_keys SET created_at = now() - interval '25 h' WHERE key = :key", key=old)
    with transaction(url) as session:
        operations.forget_old(session)
    assert query(url, "SELECT key FROM idempotency_keys") == [(young,)]


def test_a_route_is_read_from_its_own_days_only(url: str) -> None:
    keep(url, NOW)
    random_ = random.Random(8)
    trip = ride(url, started_at=NOW - timedelta(minutes=10))
    store(url, *(position(new_id(), NOW - random_.random() * 20 * DAY) for _ in range(200)))
    query(url, "UPDATE trips SET status = 'cancelled', ended_at = :at", at=NOW)

    def read(session: Any) -> None:
        found = Trips(session).get(trip["id"])
        assert found is not None
        Trips(session).route(found)

    _, plan = plans(url, read)
    assert partition_name(NOW.date()) in plan
    assert partition_name((NOW - DAY).date()) not in plan
    assert "Seq Scan" not in plan
