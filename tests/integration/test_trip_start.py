"""trip_service with bike_service: starting trips."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from shared import idempotency
from shared.errors import Conflict, Invalid, NotFound
from shared.fields import parse_time
from tests.integration import builders
from tests.integration.broker import Broker, EventLog
from tests.integration.builders import ZURICH, new_id, outcomes, point, query, transaction
from trip_service.models import IdempotencyKey
from trip_service.repositories import Trips


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
def bike_id(bikes: Any) -> str:
    return str(bikes.add({"location": point(ZURICH)})["id"])


@pytest.fixture
def rider_id() -> str:
    return f"rider {new_id()}"


def status(bikes: Any, bike_id: str) -> str:
    return str(bikes.get(bike_id)["status"])


def test_a_trip_starts_where_its_bike_stands(bikes: Any, trips: Any, bike_id: str, rider_id: str) -> None:
    before, trip_id = datetime.now(UTC), new_id()
    trip = trips.start(bike_id, rider_id, trip_id=trip_id)
    assert before <= parse_time(trip["started_at"]) <= datetime.now(UTC)
    assert trip == {
        "id": trip_id,
        "bike_id": bike_id,
        "rider_id": rider_id,
        "status": "active",
        "started_at": trip["started_at"],
        "ended_at": None,
        "ended_by": None,
        "start_location": point(ZURICH),
        "end_location": None,
        "distance_m": 0,
        "duration_s": None,
        "fare": None,
    }
    assert trips.get(trip_id) == trip
    assert status(bikes, bike_id) == "in_use"


def test_a_trip_of_a_bike_that_has_never_been_heard_of_starts_nowhere(bikes: Any, trips: Any, rider_id: str) -> None:
    assert trips.start(bikes.add()["id"], rider_id)["start_location"] is None


def test_a_start_is_an_event(trips: Any, amqp_uri: str, bike_id: str, rider_id: str) -> None:
    broker = Broker(amqp_uri)
    log = EventLog(broker, "trip_service")
    trip = trips.start(bike_id, rider_id)
    [event] = log.wait_for(trip["id"], "trip_started")
    assert event["data"] == {**trip, "revision": 1}
    assert event["occurred_at"] == trip["started_at"]
    broker.close()


def test_an_unknown_bike_cannot_be_rented(trips: Any, rider_id: str) -> None:
    with pytest.raises(NotFound):
        trips.start(new_id(), rider_id)
    assert trips.list(rider_id=rider_id)["items"] == []


@pytest.mark.parametrize("state", ["in_use", "out_of_service", "retired"])
def test_a_bike_that_is_not_available_cannot_be_rented(
    bikes: Any, trips: Any, bike_id: str, rider_id: str, state: str
) -> None:
    if state == "in_use":
        bikes.check_out(bike_id, new_id(), "another")
    elif state == "retired":
        bikes.retire(bike_id)
    else:
        bikes.change(bike_id, {"status": state})
    with pytest.raises(Conflict):
        trips.start(bike_id, rider_id)
    assert status(bikes, bike_id) == state
    assert trips.list(rider_id=rider_id)["items"] == []


def test_a_rider_has_one_active_trip(bikes: Any, trips: Any, bike_id: str, rider_id: str) -> None:
    trip, other = trips.start(bike_id, rider_id), bikes.add()["id"]
    with pytest.raises(Conflict):
        trips.start(other, rider_id)
    assert status(bikes, other) == "available"
    trips.end(trip["id"])
    assert trips.start(other, rider_id)["status"] == "active"


def test_a_start_repeated_under_its_trips_id_is_the_same_trip(trips: Any, bike_id: str, rider_id: str) -> None:
    trip_id = new_id()
    first = trips.start(bike_id, rider_id, trip_id=trip_id)
    assert trips.start(bike_id, rider_id, trip_id=trip_id) == first
    ended = trips.end(trip_id)
    assert trips.start(bike_id, rider_id, trip_id=trip_id) == ended


def test_a_start_under_the_id_of_anothers_trip_is_a_conflict(
    bikes: Any, trips: Any, bike_id: str, rider_id: str
) -> None:
    trip, other = trips.start(bike_id, rider_id, trip_id=new_id()), bikes.add()["id"]
    for bike, rider in ((bike_id, f"not {rider_id}"), (other, rider_id), (other, f"not {rider_id}")):
        with pytest.raises(Conflict):
            trips.start(bike, rider, trip_id=trip["id"])
    assert (status(bikes, bike_id), status(bikes, other)) == ("in_use", "available")


def test_a_start_whose_id_anothers_trip_takes_meanwhile_is_a_conflict(
    bikes: Any, trips: Any, trip_database_url: str, bike_id: str, rider_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trip_id, other, look = new_id(), bikes.add()["id"], Trips.active_of_rider

    def look_after_the_other(self: Trips, rider: str) -> Any:
        with transaction(trip_database_url) as session:
            Trips(session).start(trip_id, other, f"not {rider_id}", datetime.now(UTC), ZURICH)
        return look(self, rider)

    monkeypatch.setattr(Trips, "active_of_rider", look_after_the_other)
    with pytest.raises(Conflict):
        trips.start(bike_id, rider_id, trip_id=trip_id)
    assert status(bikes, bike_id) == "available"


def test_one_start_delivered_many_times_at_once_is_one_trip(
    bikes: Any, trips: Any, bike_id: str, rider_id: str
) -> None:
    trip_id = new_id()
    answers, errors = outcomes([trips.start.call_async(bike_id, rider_id, trip_id=trip_id) for _ in range(10)])
    assert errors == []
    assert all(answer == answers[0] for answer in answers)
    assert (trips.get(trip_id)["status"], status(bikes, bike_id)) == ("active", "in_use")


def test_a_start_whose_twin_commits_meanwhile_is_the_same_trip(
    trips: Any, trip_database_url: str, bike_id: str, rider_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trip_id, look = new_id(), Trips.active_of_rider

    def look_after_twin(self: Trips, rider: str) -> Any:
        with transaction(trip_database_url) as session:
            Trips(session).start(trip_id, bike_id, rider_id, datetime.now(UTC), ZURICH)
        return look(self, rider)

    monkeypatch.setattr(Trips, "active_of_rider", look_after_twin)
    assert trips.start(bike_id, rider_id, trip_id=trip_id) == trips.get(trip_id)
    assert trips.get(trip_id)["status"] == "active"


def test_of_50_concurrent_starts_of_one_bike_just_one_succeeds(bikes: Any, trips: Any, bike_id: str) -> None:
    answers, errors = outcomes([trips.start.call_async(bike_id, new_id()) for _ in range(50)])
    assert len(answers) == 1
    assert {type(error) for error in errors} == {Conflict}
    assert [trip["id"] for trip in trips.list(bike_id=bike_id)["items"]] == [answers[0]["id"]]
    assert status(bikes, bike_id) == "in_use"


def test_of_20_concurrent_starts_by_one_rider_just_one_succeeds(bikes: Any, trips: Any, rider_id: str) -> None:
    fleet = [bike["id"] for bike in bikes.add_many([{}] * 20)["items"]]
    answers, errors = outcomes([trips.start.call_async(bike_id, rider_id) for bike_id in fleet])
    assert len(answers) == 1
    assert {type(error) for error in errors} == {Conflict}
    assert [trip["id"] for trip in trips.list(rider_id=rider_id)["items"]] == [answers[0]["id"]]
    in_use = [bike_id for bike_id in fleet if status(bikes, bike_id) != "available"]
    assert in_use == [answers[0]["bike_id"]]


def test_an_idempotency_key_gives_the_first_answer_again(trips: Any, bike_id: str, rider_id: str) -> None:
    key = new_id()
    first = trips.start(bike_id, rider_id, trip_id=new_id(), idempotency_key=key)
    assert first["replayed"] is False
    trips.end(first["id"])
    again = trips.start(bike_id, rider_id, trip_id=new_id(), idempotency_key=key)
    assert again == {**first, "replayed": True}


def test_an_idempotency_key_belongs_to_its_rider(bikes: Any, trips: Any, bike_id: str, rider_id: str) -> None:
    key = new_id()
    trips.start(bike_id, rider_id, idempotency_key=key)
    assert trips.start(bikes.add()["id"], f"not {rider_id}", idempotency_key=key)["replayed"] is False


def test_an_idempotency_key_cannot_be_used_for_another_bike(
    bikes: Any, trips: Any, bike_id: str, rider_id: str
) -> None:
    key, other = new_id(), bikes.add()["id"]
    trips.end(trips.start(bike_id, rider_id, idempotency_key=key)["id"])
    with pytest.raises(Invalid) as refused:
        trips.start(other, rider_id, idempotency_key=key)
    assert "Idempotency-Key" in refused.value.errors
    assert status(bikes, other) == "available"


def test_a_refusal_is_kept_as_the_answer_to_its_key(bikes: Any, trips: Any, bike_id: str, rider_id: str) -> None:
    bikes.change(bike_id, {"status": "out_of_service"})
    key = new_id()
    with pytest.raises(Conflict) as first:
        trips.start(bike_id, rider_id, idempotency_key=key)
    assert not first.value.replayed
    bikes.change(bike_id, {"status": "available"})
    with pytest.raises(Conflict) as again:
        trips.start(bike_id, rider_id, idempotency_key=key)
    assert (again.value.replayed, again.value.detail) == (True, first.value.detail)


def test_an_unknown_bike_is_kept_as_the_answer_too(trips: Any, rider_id: str) -> None:
    key, bike_id = new_id(), new_id()
    for replayed in (False, True):
        with pytest.raises(NotFound) as refused:
            trips.start(bike_id, rider_id, idempotency_key=key)
        assert refused.value.replayed is replayed


def test_concurrent_starts_under_one_key_are_one_trip(bikes: Any, trips: Any, bike_id: str, rider_id: str) -> None:
    key = new_id()
    calls = [trips.start.call_async(bike_id, rider_id, trip_id=new_id(), idempotency_key=key) for _ in range(20)]
    answers, errors = outcomes(calls)
    assert {answer["id"] for answer in answers} == {trips.list(rider_id=rider_id)["items"][0]["id"]}
    # Who comes while the first runs is told to ask again, and does so with success.
    assert all(isinstance(error, Conflict) and error.retry_after for error in errors)
    assert [answer["replayed"] for answer in answers].count(False) == 1
    assert trips.start(bike_id, rider_id, idempotency_key=key)["replayed"] is True
    assert status(bikes, bike_id) == "in_use"


def test_an_attempt_that_has_died_is_resumed_under_its_own_id(
    trips: Any, trip_database_url: str, bike_id: str, rider_id: str
) -> None:
    key, trip_id = new_id(), new_id()
    with transaction(trip_database_url) as session:
        idempotency.begin(session, IdempotencyKey, rider_id, key, idempotency.fingerprint("start", bike_id), trip_id)
    with pytest.raises(Conflict) as running:
        trips.start(bike_id, rider_id, trip_id=new_id(), idempotency_key=key)
    assert running.value.retry_after
    sql = "UPDATE idempotency_keys SET leased_until = leased_until - interval '10 s' WHERE key = :key"
    query(trip_database_url, sql, key=key)
    trip = trips.start(bike_id, rider_id, trip_id=new_id(), idempotency_key=key)
    assert (trip["id"], trip["replayed"]) == (trip_id, False)


def test_a_start_under_a_tombstones_id_gets_another_id(
    bikes: Any, trips: Any, trip_database_url: str, bike_id: str, rider_id: str
) -> None:
    buried, key = new_id(), new_id()
    with transaction(trip_database_url) as session:
        assert Trips(session).entomb(buried, bike_id, rider_id) == "void"
    with pytest.raises(NotFound):
        trips.get(buried)
    with pytest.raises(NotFound):
        trips.end(buried)
    trip = trips.start(bike_id, rider_id, trip_id=buried, idempotency_key=key)
    assert trip["id"] != buried
    assert trips.start(bike_id, rider_id, trip_id=buried, idempotency_key=key) == {**trip, "replayed": True}
    assert [each["id"] for each in trips.list(rider_id=rider_id)["items"]] == [trip["id"]]


@pytest.mark.parametrize(
    ("method", "arguments", "fields"),
    [
        ("start", {"bike_id": "7", "rider_id": "", "trip_id": 5}, {"bike_id", "rider_id", "trip_id"}),
        ("start", {"bike_id": None, "rider_id": "x" * 256}, {"bike_id", "rider_id"}),
        ("start", {"bike_id": new_id(), "rider_id": "r", "idempotency_key": "x" * 256}, {"idempotency_key"}),
        ("end", {"trip_id": "7", "location": {"type": "Point"}}, {"trip_id", "location.coordinates"}),
        ("end", {"trip_id": new_id(), "location": point((0, 91)), "rider_id": 7}, {"location.coordinates", "rider_id"}),
        ("cancel", {"trip_id": None}, {"trip_id"}),
        ("get", {"trip_id": "x", "rider_id": 7}, {"trip_id", "rider_id"}),
        ("route", {"trip_id": []}, {"trip_id"}),
        ("list", {"status": "void", "limit": 501, "bike_id": "7"}, {"status", "limit", "bike_id"}),
        ("list", {"started_after": "yesterday", "started_before": 5}, {"started_after", "started_before"}),
        ("list", {"cursor": "garbage", "limit": 5}, {"cursor"}),
    ],
)  # fmt: skip
def test_bad_arguments_are_invalid_by_field(trips: Any, method: str, arguments: Any, fields: set[str]) -> None:
    with pytest.raises(Invalid) as refused:
        getattr(trips, method)(**arguments)
    assert set(refused.value.errors) == fields


def test_health_asks_the_database(trips: Any) -> None:
    assert trips.health() == {"status": "ok"}
