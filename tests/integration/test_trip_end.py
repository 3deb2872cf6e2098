"""trip_service with bike_service: ending and cancelling trips, and the events that tell of it."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.errors import Conflict, NotFound
from shared.fields import Point, parse_time
from tests.integration import builders
from tests.integration.broker import Broker, EventLog
from tests.integration.builders import ZURICH, Json, ago, new_id, outcomes, point, position, query
from tests.waiting import eventually

A: Point = (8.51, 47.41)
B: Point = (8.52, 47.42)


@pytest.fixture(scope="module")
def services(amqp_uri: str, bike_database_url: str, trip_database_url: str) -> Iterator[Any]:
    with builders.both_services(amqp_uri, bike_database_url, trip_database_url) as proxy:
        yield proxy


@pytest.fixture
def bikes(services: Any) -> Any:
    return services.bike_service


@pytest.fixture
def trips(services: Any) -> Any:
    return services.trip_service


@pytest.fixture
def broker(amqp_uri: str, services: Any) -> Iterator[Broker]:
    outsider = Broker(amqp_uri)
    yield outsider
    outsider.close()


@pytest.fixture
def log(broker: Broker) -> EventLog:
    return EventLog(broker, "trip_service")


@pytest.fixture
def trip(bikes: Any, trips: Any, log: EventLog) -> Json:
    """An active trip, started while `log` watches."""
    started: Json = trips.start(bikes.add({"location": point(ZURICH)})["id"], f"rider {new_id()}")
    return started


def backdate(url: str, trip: Json, seconds: float) -> None:
    sql = "UPDATE trips SET started_at = started_at - make_interval(secs => :seconds) WHERE id = :id"
    query(url, sql, seconds=seconds, id=trip["id"])


def report(broker: Broker, trips: Any, trip: Json, *positions: Json) -> None:
    """Publish positions of a trip's bike and wait until its route has them."""
    before = len(trips.route(trip["id"])["properties"]["recorded_at"])
    broker.report(*positions)
    eventually(lambda: len(trips.route(trip["id"])["properties"]["recorded_at"]) > before)


def test_a_rider_ends_a_trip_and_pays_for_each_started_minute(
    bikes: Any, trips: Any, trip: Json, trip_database_url: str
) -> None:
    backdate(trip_database_url, trip, 121)
    started_at = trips.get(trip["id"])["started_at"]
    ended = trips.end(trip["id"], rider_id=trip["rider_id"])
    assert ended == {
        **trip,
        "status": "ended",
        "started_at": started_at,
        "ended_at": ended["ended_at"],
        "ended_by": "rider",
        "end_location": point(ZURICH),
        "duration_s": ended["duration_s"],
        "fare": {"amount": "1.60", "currency": "EUR"},
    }
    assert 122 <= ended["duration_s"] < 150
    lasted = parse_time(ended["ended_at"]) - parse_time(started_at)
    assert timedelta(0) <= timedelta(seconds=ended["duration_s"]) - lasted < timedelta(seconds=1)
    assert trips.get(trip["id"]) == ended
    # The call itself frees the bike: nobody waits for the event.
    assert bikes.get(trip["bike_id"])["status"] == "available"


def test_an_operator_ends_a_trip(trips: Any, trip: Json) -> None:
    assert trips.end(trip["id"])["ended_by"] == "operator"


def test_the_fare_is_exact_to_the_cent(trips: Any, trip: Json, trip_database_url: str) -> None:
    backdate(trip_database_url, trip, 3 * 86_400 - 1)
    ended = trips.end(trip["id"])
    minutes = -(-ended["duration_s"] // 60)
    assert Decimal(ended["fare"]["amount"]) == 1 + minutes * Decimal("0.20")
    [(amount, currency)] = query(
        trip_database_url, "SELECT fare_amount, fare_currency FROM trips WHERE id = :id", id=trip["id"]
    )
    assert (amount, currency) == (Decimal(ended["fare"]["amount"]), "EUR")


def test_the_next_rider_can_rent_the_bike_at_once(trips: Any, trip: Json) -> None:
    trips.end(trip["id"])
    assert trips.start(trip["bike_id"], new_id())["status"] == "active"


def test_ending_again_gives_the_same_answer(bikes: Any, trips: Any, trip: Json) -> None:
    ended = trips.end(trip["id"], rider_id=trip["rider_id"])
    following = trips.start(trip["bike_id"], new_id())
    assert trips.end(trip["id"]) == ended
    assert trips.end(trip["id"], location=point(B), rider_id=trip["rider_id"]) == ended
    assert bikes.get(following["bike_id"])["status"] == "in_use"


def test_concurrent_ends_are_one_end(log: EventLog, trips: Any, trip: Json, trip_database_url: str) -> None:
    answers, errors = outcomes([trips.end.call_async(trip["id"]) for _ in range(20)])
    assert errors == []
    assert all(answer == answers[0] for answer in answers)
    eventually(lambda: query(trip_database_url, "SELECT count(*) FROM outbox")[0][0] == 0)
    _, event = log.wait_for(trip["id"], "trip_started", "trip_ended")
    assert event["data"] == {**answers[0], "revision": 2}
    assert event["occurred_at"] == answers[0]["ended_at"]


def test_concurrent_end_and_cancel_have_one_winner(bikes: Any, trips: Any, trip: Json) -> None:
    calls = [getattr(trips, name).call_async(trip["id"]) for name in ("end", "cancel") * 5]
    answers, errors = outcomes(calls)
    assert len(answers) == len(errors) == 5
    assert {type(error) for error in errors} == {Conflict}
    assert {answer["status"] for answer in answers} == {trips.get(trip["id"])["status"]}
    assert bikes.get(trip["bike_id"])["status"] == "available"


def test_a_trip_ends_where_its_rider_says(broker: Broker, trips: Any, trip: Json, trip_database_url: str) -> None:
    backdate(trip_database_url, trip, 60)
    report(broker, trips, trip, position(trip["bike_id"], ago(10), A))
    assert trips.end(trip["id"], location=point(B))["end_location"] == point(B)


def test_a_trip_ends_else_where_its_bike_was_last(
    broker: Broker, trips: Any, trip: Json, trip_database_url: str
) -> None:
    backdate(trip_database_url, trip, 60)
    ahead = position(trip["bike_id"], ago(-100), ZURICH)
    report(broker, trips, trip, position(trip["bike_id"], ago(10), A), position(trip["bike_id"], ago(20), B), ahead)
    assert trips.end(trip["id"])["end_location"] == point(A)


def test_a_trip_from_nowhere_without_positions_ends_nowhere(bikes: Any, trips: Any) -> None:
    trip = trips.start(bikes.add()["id"], new_id())
    ended = trips.end(trip["id"])
    assert (ended["start_location"], ended["end_location"], ended["distance_m"]) == (None, None, 0)


def test_what_the_end_sets_does_not_follow_late_positions(
    broker: Broker, log: EventLog, trips: Any, trip: Json, trip_database_url: str
) -> None:
    backdate(trip_database_url, trip, 60)
    report(broker, trips, trip, position(trip["bike_id"], ago(40), A), position(trip["bike_id"], ago(30), B))
    ended = trips.end(trip["id"])
    assert ended["distance_m"] > 1000
    _, event = log.wait_for(trip["id"], "trip_started", "trip_ended")
    assert event["data"]["distance_m"] == ended["distance_m"]
    report(broker, trips, trip, position(trip["bike_id"], ago(20), A))
    late = trips.get(trip["id"])
    assert late == {**ended, "distance_m": late["distance_m"]}
    assert late["distance_m"] == pytest.approx(2 * ended["distance_m"], abs=0.02)


def test_a_trip_is_unknown_to_other_riders(bikes: Any, trips: Any, trip: Json) -> None:
    for call in (trips.get, trips.route, trips.end):
        with pytest.raises(NotFound) as foreign:
            call(trip["id"], rider_id="another")
        with pytest.raises(NotFound) as unknown:
            call(new_id(), rider_id="another")
        assert foreign.value.args == unknown.value.args
    with pytest.raises(NotFound):
        trips.cancel(new_id())
    assert trips.get(trip["id"], rider_id=trip["rider_id"]) == trip
    assert bikes.get(trip["bike_id"])["status"] == "in_use"


def test_a_cancelled_trip_costs_nothing_and_frees_its_bike(
    bikes: Any, log: EventLog, trips: Any, trip: Json, trip_database_url: str
) -> None:
    backdate(trip_database_url, trip, 300)
    cancelled = trips.cancel(trip["id"])
    assert (cancelled["status"], cancelled["ended_by"], cancelled["fare"]) == ("cancelled", "operator", None)
    assert cancelled["ended_at"] is not None
    assert cancelled["duration_s"] >= 300
    assert cancelled["end_location"] == point(ZURICH)
    assert bikes.get(trip["bike_id"])["status"] == "available"
    assert trips.cancel(trip["id"]) == cancelled == trips.get(trip["id"])
    _, event = log.wait_for(trip["id"], "trip_started", "trip_cancelled")
    assert event["data"] == {**cancelled, "revision": 2}


def test_a_cancelled_trip_cannot_be_ended_nor_an_ended_one_cancelled(bikes: Any, trips: Any, trip: Json) -> None:
    trips.cancel(trip["id"])
    with pytest.raises(Conflict):
        trips.end(trip["id"], rider_id=trip["rider_id"])
    other = trips.start(bikes.add()["id"], trip["rider_id"])
    trips.end(other["id"])
    with pytest.raises(Conflict):
        trips.cancel(other["id"])
