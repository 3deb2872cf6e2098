"""bike_service: check-outs and check-ins, and who hears of them."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from bike_service import operations
from bike_service.schemas import EndedTrip
from shared.errors import Conflict
from shared.origins import Origin
from tests.integration import builders
from tests.integration.broker import Broker, EventLog
from tests.integration.builders import Json, new_id, outcomes, query, transaction, walk
from tests.waiting import eventually

ENDED = "evt-trip_service-trip_ended--bike_service.on_trip_ended"
CANCELLED = "evt-trip_service-trip_cancelled--bike_service.on_trip_cancelled"


@pytest.fixture(scope="module")
def bikes(amqp_uri: str, bike_database_url: str) -> Iterator[Any]:
    with builders.bike_service(amqp_uri, bike_database_url) as client:
        yield client


@pytest.fixture
def broker(amqp_uri: str, bikes: Any) -> Iterator[Broker]:
    outsider = Broker(amqp_uri)
    yield outsider
    outsider.close()


@pytest.fixture
def rented(bikes: Any) -> Json:
    """What a trip's events say of a bike that is checked out for it."""
    return rent(bikes)


def rent(bikes: Any, bike_id: str | None = None) -> Json:
    """Check a new bike out, or check `bike_id` in and out again."""
    trip = {"id": new_id(), "bike_id": bike_id or bikes.add()["id"], "rider_id": "rita", "revision": 2}
    if bike_id is not None:
        [held] = [each for each in walk(bikes.check_outs) if each["bike_id"] == bike_id]
        bikes.check_in(bike_id, held["trip_id"])
    bikes.check_out(trip["bike_id"], trip["id"], "rita")
    return trip


def status(bikes: Any, trip: Json) -> str:
    return str(bikes.get(trip["bike_id"])["status"])


def test_a_check_out_shows_the_bike_in_use(bikes: Any) -> None:
    bike = bikes.add({"location": builders.point(builders.ZURICH)})
    taken = bikes.check_out(bike["id"], new_id(), "rita")
    assert taken == {**bike, "status": "in_use", "updated_at": taken["updated_at"]}
    assert taken["updated_at"] > bike["updated_at"]


def test_of_50_concurrent_check_outs_just_one_gets_the_bike(bikes: Any, bike_database_url: str) -> None:
    bike_id, trips = bikes.add()["id"], [new_id() for _ in range(50)]
    calls = [bikes.check_out.call_async(bike_id, trip_id, f"rider {trip_id}") for trip_id in trips]
    answers, errors = outcomes(calls)
    assert len(answers) == 1
    assert {type(error) for error in errors} == {Conflict}
    [(winner, revision)] = query(
        bike_database_url, "SELECT trip_id::text, revision FROM bikes WHERE id = :id", id=bike_id
    )
    assert winner in trips
    assert revision == 2


def test_repeating_a_check_out_for_the_same_trip_has_no_further_effect(bikes: Any, rented: Json) -> None:
    first = bikes.get(rented["bike_id"])
    assert bikes.check_out(rented["bike_id"], rented["id"], "rita") == first
    with pytest.raises(Conflict):
        bikes.check_out(rented["bike_id"], new_id(), "rita")


def test_concurrent_repetitions_of_one_check_out_all_succeed(bikes: Any) -> None:
    bike_id, trip_id = bikes.add()["id"], new_id()
    answers, errors = outcomes([bikes.check_out.call_async(bike_id, trip_id, "rita") for _ in range(20)])
    assert errors == []
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize("state", ["out_of_service", "retired"])
def test_only_an_available_bike_is_checked_out(bikes: Any, state: str) -> None:
    bike_id = bikes.add()["id"]
    bikes.retire(bike_id) if state == "retired" else bikes.change(bike_id, {"status": state})
    with pytest.raises(Conflict):
        bikes.check_out(bike_id, new_id(), "rita")


def test_a_check_in_frees_the_bike_of_its_own_trip_only(bikes: Any, rented: Json) -> None:
    assert bikes.check_in(rented["bike_id"], new_id()) == {"released": False}
    assert status(bikes, rented) == "in_use"
    assert bikes.check_in(rented["bike_id"], rented["id"]) == {"released": True}
    assert status(bikes, rented) == "available"
    assert bikes.check_in(rented["bike_id"], rented["id"]) == {"released": False}


def test_a_late_check_in_does_not_free_the_next_riders_bike(bikes: Any, rented: Json) -> None:
    bikes.check_in(rented["bike_id"], rented["id"])
    bikes.check_out(rented["bike_id"], new_id(), "rolf")
    assert bikes.check_in(rented["bike_id"], rented["id"]) == {"released": False}
    assert status(bikes, rented) == "in_use"


def test_check_outs_are_listed_with_trip_and_age(bikes: Any, rented: Json, bike_database_url: str) -> None:
    [fresh] = [each for each in walk(bikes.check_outs) if each["trip_id"] == rented["id"]]
    assert {name: fresh[name] for name in ("bike_id", "trip_id", "rider_id")} == {
        "bike_id": rented["bike_id"],
        "trip_id": rented["id"],
        "rider_id": "rita",
    }
    assert 0 <= fresh["age_s"] < 10
    sql = "UPDATE bikes SET checked_out_at = checked_out_at - interval '100 s' WHERE id = :id"
    query(bike_database_url, sql, id=rented["bike_id"])
    [aged] = [each for each in walk(bikes.check_outs, older_than_s=90) if each["trip_id"] == rented["id"]]
    assert 100 <= aged["age_s"] < 110
    assert rented["id"] not in [each["trip_id"] for each in walk(bikes.check_outs, older_than_s=120)]
    bikes.check_in(rented["bike_id"], rented["id"])
    assert rented["id"] not in [each["trip_id"] for each in walk(bikes.check_outs)]


def test_check_outs_are_paged_by_bike(bikes: Any) -> None:
    trips = {bikes.add()["id"]: new_id() for _ in range(7)}
    for bike_id, trip_id in trips.items():
        bikes.check_out(bike_id, trip_id, "rita")
    found = walk(bikes.check_outs, limit=3)
    assert {each["bike_id"]: each["trip_id"] for each in found if each["bike_id"] in trips} == trips
    assert [each["bike_id"] for each in found] == sorted(each["bike_id"] for each in found)


def test_events_follow_a_bike_with_a_growing_revision(bikes: Any, broker: Broker) -> None:
    log = EventLog(broker, "bike_service")
    bike, trip_id = bikes.add({"name": new_id(), "location": builders.point(builders.ZURICH)}), new_id()
    states = [bike]
    states.append(bikes.change(bike["id"], {"status": "out_of_service"}))
    states.append(bikes.change(bike["id"], {"status": "available"}))
    states.append(bikes.check_out(bike["id"], trip_id, "rita"))
    bikes.check_in(bike["id"], trip_id)
    states.append(bikes.get(bike["id"]))
    states.append(bikes.retire(bike["id"]))
    events = log.wait_for(bike["id"], "bike_added", *["bike_changed"] * 4, "bike_retired")
    assert [event["data"] for event in events] == [
        {**state, "revision": revision} for revision, state in enumerate(states, start=1)
    ]
    assert {event["version"] for event in events} == {1}
    assert len({event["id"] for event in events}) == 6
    assert [event["occurred_at"] for event in events] == [state["updated_at"] for state in states]


def test_each_bike_of_a_batch_is_an_event(bikes: Any, broker: Broker) -> None:
    log = EventLog(broker, "bike_service")
    for bike in bikes.add_many([{}] * 5)["items"]:
        log.wait_for(bike["id"], "bike_added")


def test_what_changes_nothing_is_no_event(bikes: Any, broker: Broker, bike_database_url: str) -> None:
    log = EventLog(broker, "bike_service")
    bike = bikes.add({"name": new_id()})
    bikes.add({"id": bike["id"]})
    bikes.change(bike["id"], {"name": bike["name"], "status": "available"})
    bikes.check_in(bike["id"], new_id())
    bikes.check_out(bike["id"], trip_id := new_id(), "rita")
    bikes.check_out(bike["id"], trip_id, "rita")
    with pytest.raises(Conflict):
        bikes.check_out(bike["id"], new_id(), "rolf")
    with pytest.raises(Conflict):
        bikes.add({"name": bike["name"]})
    eventually(lambda: query(bike_database_url, "SELECT count(*) FROM outbox")[0][0] == 0)
    log.wait_for(bike["id"], "bike_added", "bike_changed")


@pytest.mark.parametrize("event_type", ["trip_ended", "trip_cancelled"])
def test_the_end_of_a_trip_frees_its_bike(bikes: Any, broker: Broker, rented: Json, event_type: str) -> None:
    broker.event("trip_service", event_type, rented)
    eventually(lambda: status(bikes, rented) == "available")


def test_the_end_of_another_trip_leaves_the_bike_alone(
    bikes: Any, broker: Broker, rented: Json, bike_database_url: str
) -> None:
    event = broker.event("trip_service", "trip_ended", {**rented, "id": new_id()})
    wait_until_handled(bike_database_url, event)
    assert status(bikes, rented) == "in_use"


def wait_until_handled(url: str, event: Json) -> None:
    eventually(lambda: query(url, "SELECT 1 FROM inbox WHERE event_id = :id", id=event["id"]))


def test_an_event_repeated_later_does_not_free_the_next_riders_bike(
    bikes: Any, broker: Broker, rented: Json, bike_database_url: str
) -> None:
    event = broker.event("trip_service", "trip_ended", rented)
    eventually(lambda: status(bikes, rented) == "available")
    # Even for a trip that, against all rules, has the same id: the event has been handled.
    bikes.check_out(rented["bike_id"], rented["id"], "rolf")
    with transaction(bike_database_url) as session:
        operations.free_after_trips(session, [EndedTrip(event["id"], rented["id"], rented["bike_id"])])
    assert status(bikes, rented) == "in_use"
    broker.event("trip_service", "trip_ended", rented)
    eventually(lambda: status(bikes, rented) == "available")


def test_many_ends_free_each_its_own_bike_once_under_its_own_request(bikes: Any, bike_database_url: str) -> None:
    trips = [rent(bikes) for _ in range(5)]
    later = rent(bikes, trips[4]["bike_id"])
    origins = [Origin(f"r-{trip['id']}", f"t-{trip['id']}") for trip in trips]
    ended = [
        EndedTrip(new_id(), trip["id"], trip["bike_id"], origin) for trip, origin in zip(trips, origins, strict=True)
    ]
    stranger = EndedTrip(new_id(), new_id(), new_id())
    with transaction(bike_database_url) as session:
        # The first three, once more each in another event and in the same, in any order; the last is rented again.
        again = [EndedTrip(new_id(), each.trip_id, each.bike_id, Origin("r-again", "t-again")) for each in ended[:1]]
        operations.free_after_trips(session, [ended[4], stranger, *reversed(ended[:3]), *ended[:3], *again])
        events = session.execute(text("SELECT payload::json->'data', request_id, traceparent FROM outbox")).all()
    # Those of the calls, that may be there still, have no request.
    assert {data["id"]: (data["status"], data["revision"], *whose) for data, *whose in events if any(whose)} == {
        trip["bike_id"]: ("available", 3, origin.request_id, origin.traceparent)
        # Of several ends of one trip, the first of those that are told of frees the bike.
        for trip, origin in zip(trips[:3], origins[:3], strict=True)
    }
    assert [status(bikes, trip) for trip in trips] == ["available"] * 3 + ["in_use"] * 2
    with transaction(bike_database_url) as session:
        operations.free_after_trips(session, ended[:3])
    assert bikes.check_in(later["bike_id"], later["id"]) == {"released": True}


@pytest.mark.parametrize(("event_type", "queue"), [("trip_ended", ENDED), ("trip_cancelled", CANCELLED)])
@pytest.mark.parametrize(
    ("wrong", "reason"),
    [({"version": 2}, "invalid"), ({"data": {"id": "7"}}, "invalid"), ({"id": None}, "invalid")],
)
def test_an_event_that_cannot_be_understood_is_a_dead_letter(
    bikes: Any, broker: Broker, rented: Json, event_type: str, queue: str, wrong: Json, reason: str
) -> None:
    payload = {"id": new_id(), "type": event_type, "occurred_at": "2026-05-01T12:00:00Z", "version": 1, "data": rented}
    broker.publish("trip_service.events", event_type, {**payload, **wrong})
    assert broker.dead_letter(queue)[0] == reason
    broker.publish("trip_service.events", event_type, b"\xff{")
    assert broker.dead_letter(queue) == ("unreadable", b"\xff{")
    assert status(bikes, rented) == "in_use"
    broker.publish("trip_service.events", event_type, payload)
    eventually(lambda: status(bikes, rented) == "available")


def test_a_trip_has_one_bike(bikes: Any, rented: Json) -> None:
    second = bikes.add()["id"]
    with pytest.raises(Conflict):
        bikes.check_out(second, rented["id"], "rita")
    assert bikes.get(second)["status"] == "available"
