"""trip_service: lists, routes and distances, from positions in any order."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import eventlet
import pytest
from sqlalchemy import text

from shared.errors import NotFound
from shared.fields import Point, format_time
from shared.geodesy import path_length_m
from tests.integration import builders
from tests.integration.broker import Broker
from tests.integration.builders import Json, ago, new_id, position, query, ride, store, transaction, walk
from tests.waiting import eventually
from trip_service import operations
from trip_service.repositories import NewTrip, Trips

QUEUE = "trip_service.positions"


@pytest.fixture(scope="module")
def trips(amqp_uri: str, trip_database_url: str) -> Iterator[Any]:
    with builders.trip_service(amqp_uri, trip_database_url) as client:
        yield client


@pytest.fixture
def broker(amqp_uri: str, trips: Any) -> Iterator[Broker]:
    outsider = Broker(amqp_uri)
    yield outsider
    outsider.close()


def ids(items: list[Json]) -> list[str]:
    return [item["id"] for item in items]


def path(random_: random.Random, count: int) -> list[Point]:
    return [(8.5 + random_.uniform(0, 0.05), 47.4 + random_.uniform(0, 0.05)) for _ in range(count)]


def track(trip: Json, points: list[Point], since: datetime, step_s: float = 10) -> list[Json]:
    return [position(trip["bike_id"], since + timedelta(seconds=step_s * n), place) for n, place in enumerate(points)]


# Lists


@pytest.fixture
def history(trips: Any, trip_database_url: str) -> tuple[str, list[Json]]:
    """A rider's seven trips, newest first: the newest is active, two started at the same moment."""
    rider_id, starts = new_id(), [ago(1000 * n) for n in (7, 6, 5, 4, 4, 2, 1)]
    starts[4] = starts[3]
    made = []
    for number, started_at in enumerate(starts):
        trip = ride(trip_database_url, rider_id=rider_id, started_at=started_at)
        if number < 6:
            trip = trips.cancel(trip["id"]) if number == 2 else trips.end(trip["id"])
        made.append(trip)
    return rider_id, sorted(made, key=lambda trip: (trip["started_at"], trip["id"]), reverse=True)


def test_trips_are_listed_newest_first(trips: Any, history: tuple[str, list[Json]]) -> None:
    rider_id, expected = history
    assert trips.list(rider_id=rider_id) == {"items": expected, "next": None}


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7])
def test_paging_shows_each_trip_once(trips: Any, history: tuple[str, list[Json]], limit: int) -> None:
    rider_id, expected = history
    assert walk(trips.list, rider_id=rider_id, limit=limit) == expected


def test_trips_that_start_during_the_walk_do_not_disturb_it(
    trips: Any, history: tuple[str, list[Json]], trip_database_url: str
) -> None:
    rider_id, expected = history
    first = trips.list(rider_id=rider_id, limit=3)
    trips.end(expected[0]["id"])
    ride(trip_database_url, rider_id=rider_id, started_at=ago(1))
    rest = trips.list(rider_id=rider_id, limit=100, cursor=first["next"])
    assert ids(first["items"]) + ids(rest["items"]) == ids(expected)


def test_a_list_holds_50_trips_unless_told_otherwise(trips: Any, trip_database_url: str) -> None:
    for _ in range(51):
        ride(trip_database_url)
    assert len(trips.list()["items"]) == 50


def test_filters_can_be_combined(trips: Any, history: tuple[str, list[Json]]) -> None:
    rider_id, all_of_them = history

    def expect(wanted: list[Json], **filters: Any) -> None:
        assert trips.list(rider_id=rider_id, **filters)["items"] == wanted

    for status in ("active", "ended", "cancelled"):
        expect([trip for trip in all_of_them if trip["status"] == status], status=status)
    expect([all_of_them[2]], bike_id=all_of_them[2]["bike_id"])
    expect([], bike_id=new_id())
    after, before = all_of_them[5]["started_at"], all_of_them[1]["started_at"]
    expect(all_of_them[:5], started_after=after)
    expect(all_of_them[2:], started_before=before)
    expect(all_of_them[2:5], started_after=after, started_before=before)
    assert trips.list(rider_id=f"not {rider_id}")["items"] == []
    assert ids(trips.list(bike_id=all_of_them[0]["bike_id"])["items"]) == [all_of_them[0]["id"]]


def test_tombstones_are_shown_to_nobody(trips: Any, trip_database_url: str) -> None:
    buried, bike_id, rider_id = new_id(), new_id(), new_id()
    with transaction(trip_database_url) as session:
        Trips(session).entomb(buried, bike_id, rider_id)
    for filters in ({"bike_id": bike_id}, {"rider_id": rider_id}):
        assert trips.list(**filters)["items"] == []
    with pytest.raises(NotFound):
        trips.route(buried)


# Routes and distances


def test_a_route_without_positions_has_no_geometry(trips: Any, trip_database_url: str) -> None:
    trip = ride(trip_database_url)
    assert trips.route(trip["id"]) == {
        "type": "Feature",
        "geometry": None,
        "properties": {"trip_id": trip["id"], "bike_id": trip["bike_id"], "recorded_at": []},
    }


def test_a_single_position_stands_twice(trips: Any, trip_database_url: str) -> None:
    trip, when = ride(trip_database_url), ago(60)
    store(trip_database_url, position(trip["bike_id"], when, (8.5, 47.4)))
    route = trips.route(trip["id"])
    assert route["geometry"] == {"type": "LineString", "coordinates": [[8.5, 47.4]] * 2}
    assert route["properties"]["recorded_at"] == [format_time(when)] * 2
    assert trips.get(trip["id"])["distance_m"] == 0


def test_late_duplicate_and_out_of_order_positions_make_the_same_route(
    broker: Broker, trips: Any, trip_database_url: str
) -> None:
    random_ = random.Random(42)
    trip, points, since = ride(trip_database_url), path(random_, 40), ago(500)
    positions = track(trip, points, since)
    shuffled = [*positions, *random_.sample(positions, 10)]
    random_.shuffle(shuffled)
    for offset in range(0, len(shuffled), 7):
        broker.report(*shuffled[offset : offset + 7])
    eventually(lambda: len(trips.route(trip["id"])["properties"]["recorded_at"]) == 40)
    route = trips.route(trip["id"])
    assert route["geometry"]["coordinates"] == [list(place) for place in points]
    assert route["properties"]["recorded_at"] == [each["recorded_at"] for each in positions]
    eventually(lambda: trips.get(trip["id"])["distance_m"] == pytest.approx(path_length_m(points), abs=0.01))
    ended = trips.end(trip["id"])
    assert ended["distance_m"] == pytest.approx(path_length_m(points), abs=0.01)


def test_the_distance_grows_while_the_trip_is_ridden(trips: Any, trip_database_url: str) -> None:
    trip, points = ride(trip_database_url), path(random.Random(1), 6)
    positions = track(trip, points, ago(500))
    for count, each in enumerate(positions, start=1):
        store(trip_database_url, each)
        expected = pytest.approx(path_length_m(points[:count]), abs=0.01)
        assert trips.get(trip["id"])["distance_m"] == expected
        [listed] = trips.list(bike_id=trip["bike_id"])["items"]
        assert listed["distance_m"] == expected


def test_of_positions_with_one_time_the_first_is_kept(trips: Any, trip_database_url: str) -> None:
    trip, when = ride(trip_database_url), ago(60)
    store(trip_database_url, position(trip["bike_id"], when, (8.5, 47.4)), position(trip["bike_id"], when, (8.6, 47.4)))
    store(trip_database_url, position(trip["bike_id"], when, (8.7, 47.4)))
    assert trips.route(trip["id"])["geometry"]["coordinates"] == [[8.5, 47.4]] * 2


def test_only_the_positions_from_start_to_end_are_a_trips(trips: Any, trip_database_url: str) -> None:
    started_at, ended_at, microsecond = ago(500), ago(100), timedelta(microseconds=1)
    trip = ride(trip_database_url, started_at=started_at)
    moments = [started_at - microsecond, started_at, ago(300), ended_at, ended_at + microsecond]
    points = path(random.Random(2), 5)
    trips.end(trip["id"])
    query(trip_database_url, "UPDATE trips SET ended_at = :at WHERE id = :id", at=ended_at, id=trip["id"])
    pairs = zip(moments, points, strict=True)
    store(trip_database_url, *(position(trip["bike_id"], moment, place) for moment, place in pairs))
    store(trip_database_url, position(new_id(), ago(300), (0, 0)))
    route = trips.route(trip["id"])
    assert route["properties"]["recorded_at"] == [format_time(moment) for moment in moments[1:4]]
    assert trips.get(trip["id"])["distance_m"] == pytest.approx(path_length_m(points[1:4]), abs=0.01)


def test_positions_stored_before_the_trips_commit_are_its_own(trips: Any, trip_database_url: str) -> None:
    bike_id, trip_id, started_at, points = new_id(), new_id(), ago(300), path(random.Random(3), 3)
    with transaction(trip_database_url) as session:
        Trips(session).start([NewTrip(trip_id, bike_id, new_id(), started_at, None)])
        positions = [position(bike_id, ago(200 - 10 * n), place) for n, place in enumerate(points)]
        store(trip_database_url, *positions)
    assert trips.get(trip_id)["distance_m"] == pytest.approx(path_length_m(points), abs=0.01)
    assert len(trips.route(trip_id)["properties"]["recorded_at"]) == 3


def test_two_trips_of_one_bike_share_no_positions(trips: Any, trip_database_url: str) -> None:
    bike_id, points = new_id(), path(random.Random(4), 8)
    first = ride(trip_database_url, bike_id, started_at=ago(800))
    trips.end(first["id"])
    query(trip_database_url, "UPDATE trips SET ended_at = :at WHERE id = :id", at=ago(500), id=first["id"])
    second = ride(trip_database_url, bike_id, started_at=ago(400))
    store(trip_database_url, *track(first, points[:4], ago(700)), *track(second, points[4:], ago(300)))
    for trip, part in ((first, points[:4]), (second, points[4:])):
        assert trips.get(trip["id"])["distance_m"] == pytest.approx(path_length_m(part), abs=0.01)


def test_a_ride_across_midnight_and_meridian_is_measured_whole(trips: Any, trip_database_url: str) -> None:
    midnight = ago(86_400).replace(hour=0, minute=0, second=0, microsecond=0)
    trip = ride(trip_database_url, started_at=midnight - timedelta(minutes=5))
    points = [(179.999, 0.0), (-179.999, 0.001), (-179.998, 0.002)]
    store(trip_database_url, *track(trip, points, midnight - timedelta(seconds=10), 10))
    assert trips.get(trip["id"])["distance_m"] == pytest.approx(path_length_m(points), abs=0.01)
    assert path_length_m(points) < 1000


def test_concurrent_batches_and_readers_end_with_the_whole_distance(trips: Any, trip_database_url: str) -> None:
    random_ = random.Random(5)
    trip, points = ride(trip_database_url), path(random_, 48)
    positions = track(trip, points, ago(550))
    random_.shuffle(positions)
    writers = [eventlet.spawn(store, trip_database_url, *positions[offset::8]) for offset in range(8)]
    readers = [trips.get.call_async(trip["id"]) for _ in range(8)]
    for each in writers:
        each.wait()
    for reader in readers:
        reader.result()
    assert trips.get(trip["id"])["distance_m"] == pytest.approx(path_length_m(points), abs=0.01)


def test_bad_positions_are_dead_letters_and_their_neighbours_are_stored(
    broker: Broker, trips: Any, trip_database_url: str
) -> None:
    trip = ride(trip_database_url)
    bad = {**position(trip["bike_id"], ago(30)), "accuracy_m": -1}
    broker.publish("positions", "fleet.position", b"{")
    broker.report(position(trip["bike_id"], ago(20)), bad)
    eventually(lambda: trips.route(trip["id"])["geometry"])
    letters = dict([broker.dead_letter(QUEUE), broker.dead_letter(QUEUE)])
    assert set(letters) == {"unreadable", "invalid"}
    assert letters["unreadable"] == b"{"


def test_a_reader_has_not_the_last_word_on_the_distance_of_a_trip_that_ends(trips: Any, trip_database_url: str) -> None:
    trip = ride(trip_database_url, started_at=ago(100))
    points = path(random.Random(7), 3)
    store(trip_database_url, *track(trip, points[:2], ago(90)))
    with transaction(trip_database_url) as session:
        Trips(session).by_ids([trip["id"]], for_update=True)
        # This reader has seen the route, and waits to keep its length, while the trip gets its last position and ends.
        reader = eventlet.spawn(trips.get, trip["id"])
        eventually(lambda: query(trip_database_url, "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
        [(longitude, latitude)] = points[2:]
        sql = "INSERT INTO positions (bike_id, recorded_at, longitude, latitude) VALUES (:bike, :at, :lon, :lat)"
        last = {"bike": trip["bike_id"], "at": ago(50), "lon": longitude, "lat": latitude}
        session.execute(text(sql), last)
        tariff = builders.trip_config(trip_database_url)["SETTINGS"].tariff
        operations.end(session, [{"trip_id": trip["id"]}], tariff)
    assert reader.wait()["id"] == trip["id"]
    assert trips.get(trip["id"])["distance_m"] == pytest.approx(path_length_m(points), abs=0.01)
