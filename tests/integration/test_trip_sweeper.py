"""trip_service: whatever went wrong, bike and trip agree again, and a forgotten trip is ended."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from bike_service.service import BikeService
from shared.fields import Point, format_time
from shared.rpc_proxy import RpcProxy
from tests.integration import builders
from tests.integration.builders import Json, ago, new_id, point, position, query, ride, store, transaction
from trip_service.domain import Tariff
from trip_service.repositories import NewTrip, Trips
from trip_service.schemas import show
from trip_service.sweeping import Sweeper

TARIFF = Tariff(Decimal("1.00"), Decimal("0.20"), "EUR")
DAY = timedelta(hours=24)
A: Point = (8.51, 47.41)
B: Point = (8.52, 47.42)


class Caller:
    """Nothing but a way to bike_service: the sweepers run when a test says so, not by the clock."""

    name = "caller"
    bikes = RpcProxy("bike_service")


@pytest.fixture(scope="module")
def bikes(amqp_uri: str, bike_database_url: str) -> Iterator[Any]:
    with (
        builders.running(BikeService, amqp_uri, DB_URIS={"bike_service:Base": bike_database_url}),
        builders.running(Caller, amqp_uri) as caller,
    ):
        yield builders.proxy_within(caller)


@pytest.fixture
def sessions(trip_database_url: str, bike_database_url: str) -> Callable[[], AbstractContextManager[Any]]:
    """Transactions on a database without trips, beside a fleet without check-outs."""
    query(trip_database_url, "TRUNCATE trips, positions")
    query(bike_database_url, "DELETE FROM bikes")
    return partial(transaction, trip_database_url)


@pytest.fixture
def sweeper(sessions: Any, bikes: Any) -> Sweeper:
    return Sweeper(sessions, bikes)


def status(bikes: Any, bike_id: str) -> str:
    return str(bikes.get(bike_id)["status"])


def find(url: str, trip_id: str) -> Json:
    with transaction(url) as session:
        trip = Trips(session).get(trip_id)
        assert trip is not None
        Trips(session).refresh_distances([trip])
        return show(trip)


def test_a_stray_check_out_is_released_and_its_trip_can_never_start(
    sweeper: Sweeper, bikes: Any, trip_database_url: str
) -> None:
    bike_id, trip_id = bikes.add()["id"], new_id()
    bikes.check_out(bike_id, trip_id, "rita")
    sweeper.reconcile(minimum_age_s=0)
    assert status(bikes, bike_id) == "available"
    with transaction(trip_database_url) as session:
        assert Trips(session).start([NewTrip(trip_id, bike_id, "rita", ago(0), None)]) == {}
    # Neither the rider nor the bike is bound by the tombstone.
    assert ride(trip_database_url, bike_id, "rita")["status"] == "active"


def test_a_young_check_out_is_left_alone(sweeper: Sweeper, bikes: Any, trip_database_url: str) -> None:
    bike_id, trip_id = bikes.add()["id"], new_id()
    bikes.check_out(bike_id, trip_id, "rita")
    sweeper.reconcile()
    assert status(bikes, bike_id) == "in_use"
    with transaction(trip_database_url) as session:
        assert Trips(session).start([NewTrip(trip_id, bike_id, "rita", ago(0), None)])[trip_id].status == "active"


def test_an_old_check_out_is_released_without_being_told_its_age(
    sweeper: Sweeper, bikes: Any, bike_database_url: str
) -> None:
    bike_id = bikes.add()["id"]
    bikes.check_out(bike_id, new_id(), "rita")
    query(bike_database_url, "UPDATE bikes SET checked_out_at = now() - interval '14 s'")
    sweeper.reconcile()
    assert status(bikes, bike_id) == "in_use"
    query(bike_database_url, "UPDATE bikes SET checked_out_at = now() - interval '16 s'")
    sweeper.reconcile()
    assert status(bikes, bike_id) == "available"


def test_bikes_of_active_trips_stay_checked_out(sweeper: Sweeper, bikes: Any, trip_database_url: str) -> None:
    fleet = [bike["id"] for bike in bikes.add_many([{}] * 5)["items"]]
    for bike_id in fleet:
        trip = ride(trip_database_url, bike_id, started_at=ago(0))
        bikes.check_out(bike_id, trip["id"], trip["rider_id"])
    sweeper.reconcile(minimum_age_s=0)
    sweeper.reconcile(minimum_age_s=0)
    assert [status(bikes, bike_id) for bike_id in fleet] == ["in_use"] * 5


@pytest.mark.parametrize("ending", ["end", "cancel"])
def test_the_bike_of_a_trip_that_is_over_is_released(
    sweeper: Sweeper, bikes: Any, trip_database_url: str, ending: str
) -> None:
    trip = ride(trip_database_url, bikes.add()["id"])
    bikes.check_out(trip["bike_id"], trip["id"], trip["rider_id"])
    with transaction(trip_database_url) as session:
        if ending == "end":
            builders.operations.end(session, [{"trip_id": trip["id"]}], TARIFF)
        else:
            builders.operations.cancel(session, trip["id"])
    before = find(trip_database_url, trip["id"])
    sweeper.reconcile(minimum_age_s=0)
    assert status(bikes, trip["bike_id"]) == "available"
    assert find(trip_database_url, trip["id"]) == before


def test_a_lost_check_out_is_restored(sweeper: Sweeper, bikes: Any, trip_database_url: str) -> None:
    trip = ride(trip_database_url, bikes.add()["id"], started_at=ago(16))
    young = ride(trip_database_url, bikes.add()["id"], started_at=ago(5))
    sweeper.reconcile()
    assert status(bikes, trip["bike_id"]) == "in_use"
    assert status(bikes, young["bike_id"]) == "available"
    [check_out] = bikes.check_outs()["items"]
    assert (check_out["trip_id"], check_out["rider_id"]) == (trip["id"], trip["rider_id"])


def test_an_active_trip_whose_bike_is_lost_keeps_the_others_from_nothing(
    sweeper: Sweeper, bikes: Any, trip_database_url: str
) -> None:
    retired = bikes.add()["id"]
    bikes.retire(retired)
    for bike_id in (new_id(), retired):
        ride(trip_database_url, bike_id)
    trips = [ride(trip_database_url, bikes.add()["id"]) for _ in range(3)]
    sweeper.reconcile()
    assert [status(bikes, trip["bike_id"]) for trip in trips] == ["in_use"] * 3
    assert status(bikes, retired) == "retired"


class EndsMeanwhile:
    """bike_service's proxy, on whose way the trip ends before the check-out is through."""

    def __init__(self, bikes: Any, end: Callable[[], Any]) -> None:
        self.bikes, self.end = bikes, end

    def check_out(self, *arguments: Any) -> Any:
        self.end()
        return self.bikes.check_out(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bikes, name)


def test_a_trip_that_ends_meanwhile_does_not_keep_its_bike(bikes: Any, sessions: Any, trip_database_url: str) -> None:
    trip = ride(trip_database_url, bikes.add()["id"])

    def end() -> None:
        with transaction(trip_database_url) as session:
            builders.operations.end(session, [{"trip_id": trip["id"]}], TARIFF)

    Sweeper(sessions, EndsMeanwhile(bikes, end)).reconcile()
    assert find(trip_database_url, trip["id"])["status"] == "ended"
    assert status(bikes, trip["bike_id"]) == "available"


def test_more_check_outs_than_one_page_are_all_compared(
    sweeper: Sweeper, bikes: Any, trip_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trip_service.sweeping.PAGE", 2)
    fleet = [bike["id"] for bike in bikes.add_many([{}] * 11)["items"]]
    for bike_id in fleet[:6]:
        bikes.check_out(bike_id, new_id(), "rita")
    for bike_id in fleet[6:]:
        ride(trip_database_url, bike_id)
    sweeper.reconcile(minimum_age_s=0)
    assert [status(bikes, bike_id) for bike_id in fleet] == ["available"] * 6 + ["in_use"] * 5


# Trips that nobody ends


def test_a_forgotten_trip_ends_at_the_time_and_place_of_its_last_position(
    sweeper: Sweeper, bikes: Any, trip_database_url: str
) -> None:
    last = ago(25 * 3600)
    trip = ride(trip_database_url, bikes.add()["id"], started_at=last - timedelta(minutes=10), location=A)
    bikes.check_out(trip["bike_id"], trip["id"], trip["rider_id"])
    between = last - timedelta(minutes=5)
    store(trip_database_url, position(trip["bike_id"], last, B), position(trip["bike_id"], between, A))
    sweeper.end_forgotten(DAY, TARIFF)
    ended = find(trip_database_url, trip["id"])
    assert ended == {
        **trip,
        "status": "ended",
        "ended_at": format_time(last),
        "ended_by": "system",
        "end_location": point(B),
        "distance_m": ended["distance_m"],
        "duration_s": 600,
        "fare": {"amount": "3.00", "currency": "EUR"},
    }
    assert ended["distance_m"] > 1000
    assert status(bikes, trip["bike_id"]) == "available"
    [(event_type, revision)] = query(
        trip_database_url,
        "SELECT type, payload::json #>> '{data,revision}' FROM outbox "
        "WHERE payload::json #>> '{data,id}' = :id AND type = 'trip_ended'",
        id=trip["id"],
    )
    assert (event_type, revision) == ("trip_ended", "2")


def test_a_forgotten_trip_without_positions_ends_where_and_when_it_started(
    sweeper: Sweeper, trip_database_url: str
) -> None:
    trip = ride(trip_database_url, started_at=ago(24 * 3600 + 1), location=A)
    sweeper.end_forgotten(DAY, TARIFF)
    ended = find(trip_database_url, trip["id"])
    assert (ended["ended_at"], ended["ended_by"]) == (trip["started_at"], "system")
    assert (ended["end_location"], ended["duration_s"], ended["distance_m"]) == (point(A), 0, 0)
    assert ended["fare"] == {"amount": "1.00", "currency": "EUR"}


def test_a_trip_that_is_heard_of_or_young_is_not_forgotten(sweeper: Sweeper, trip_database_url: str) -> None:
    heard = ride(trip_database_url, started_at=ago(30 * 3600))
    store(trip_database_url, position(heard["bike_id"], ago(23 * 3600), A))
    young = ride(trip_database_url, started_at=ago(23 * 3600))
    sweeper.end_forgotten(DAY, TARIFF)
    assert find(trip_database_url, heard["id"])["status"] == "active"
    assert find(trip_database_url, young["id"])["status"] == "active"


def test_a_position_before_the_start_does_not_count_as_heard_of(sweeper: Sweeper, trip_database_url: str) -> None:
    trip = ride(trip_database_url, started_at=ago(25 * 3600), location=A)
    store(trip_database_url, position(trip["bike_id"], ago(26 * 3600), B))
    sweeper.end_forgotten(DAY, TARIFF)
    ended = find(trip_database_url, trip["id"])
    assert (ended["ended_at"], ended["end_location"]) == (trip["started_at"], point(A))


def test_a_position_from_a_clock_far_ahead_does_not_keep_a_trip_for_ever(
    sweeper: Sweeper, trip_database_url: str
) -> None:
    trip = ride(trip_database_url, started_at=ago(25 * 3600), location=A)
    store(trip_database_url, position(trip["bike_id"], ago(-365 * 86_400), B))
    sweeper.end_forgotten(DAY, TARIFF)
    ended = find(trip_database_url, trip["id"])
    assert (ended["status"], ended["ended_at"], ended["end_location"]) == ("ended", trip["started_at"], point(A))


def test_a_forgotten_trip_that_ended_meanwhile_stays_as_it_is(sweeper: Sweeper, trip_database_url: str) -> None:
    trip = ride(trip_database_url, started_at=ago(30 * 3600))
    with transaction(trip_database_url) as session:
        builders.operations.end(session, [{"trip_id": trip["id"], "rider_id": trip["rider_id"]}], TARIFF)
    with transaction(trip_database_url) as session:
        assert builders.operations.end_forgotten(session, trip["id"], ago(24 * 3600), TARIFF) is None
    assert find(trip_database_url, trip["id"])["ended_by"] == "rider"


def test_a_trip_heard_of_while_it_is_looked_at_is_not_forgotten(sweeper: Sweeper, trip_database_url: str) -> None:
    trip = ride(trip_database_url, started_at=ago(30 * 3600))
    with transaction(trip_database_url) as session:
        assert list(Trips(session).forgotten(ago(24 * 3600), 10)) == [trip["id"]]
    store(trip_database_url, position(trip["bike_id"], ago(60), A))
    with transaction(trip_database_url) as session:
        assert builders.operations.end_forgotten(session, trip["id"], ago(24 * 3600), TARIFF) is None
    assert find(trip_database_url, trip["id"])["status"] == "active"
