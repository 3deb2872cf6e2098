"""bike_service: the public id of a bike changes with each end of a trip, once; and the rows of the feed."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from bike_service import operations
from bike_service.schemas import EndedTrip
from shared.errors import Invalid
from tests.integration import builders
from tests.integration.broker import Broker
from tests.integration.builders import Json, new_id, point, query, transaction
from tests.waiting import eventually
from trip_service.sweeping import Sweeper


@pytest.fixture(scope="module")
def services(amqp_uri: str, bike_database_url: str, trip_database_url: str) -> Iterator[Any]:
    with builders.both_services(amqp_uri, bike_database_url, trip_database_url) as proxy:
        yield proxy


@pytest.fixture
def bikes(services: Any) -> Any:
    return services.bike_service


@pytest.fixture
def bike(bikes: Any) -> Json:
    added: Json = bikes.add({"location": point(builders.ZURICH), "battery_percent": 50, "vehicle_type_id": "ebike"})
    return added


def public_id(url: str, bike_id: str) -> str:
    [(found,)] = query(url, "SELECT vehicle_id::text FROM bikes WHERE id = :id", id=bike_id)
    return str(found)


def revision(url: str, bike_id: str) -> int:
    return int(query(url, "SELECT revision FROM bikes WHERE id = :id", id=bike_id)[0][0])


def test_a_public_id_is_no_bikes_id_and_stays_until_a_trip_ends(bikes: Any, bike: Json, bike_database_url: str) -> None:
    before = public_id(bike_database_url, bike["id"])
    assert before != bike["id"]
    bikes.change(bike["id"], {"status": "out_of_service"})
    bikes.change(bike["id"], {"status": "available", "name": new_id()})
    bikes.check_out(bike["id"], trip_id := new_id(), "rita")
    assert public_id(bike_database_url, bike["id"]) == before
    bikes.check_in(bike["id"], trip_id)
    assert public_id(bike_database_url, bike["id"]) not in (before, bike["id"], trip_id)


@pytest.mark.parametrize("event_type", ["trip_ended", "trip_cancelled"])
def test_call_event_and_their_repetitions_change_it_once(
    bikes: Any, bike: Json, amqp_uri: str, bike_database_url: str, event_type: str
) -> None:
    trip = {"id": new_id(), "bike_id": bike["id"], "rider_id": "rita", "revision": 2}
    before = public_id(bike_database_url, bike["id"])
    bikes.check_out(bike["id"], trip["id"], "rita")
    broker = Broker(amqp_uri)
    event = broker.event("trip_service", event_type, trip)
    eventually(lambda: bikes.get(bike["id"])["status"] == "available")
    after = public_id(bike_database_url, bike["id"])
    assert after != before
    # Again: the call, the event as it was, and one of the same trip under another id.
    assert bikes.check_in(bike["id"], trip["id"]) == {"released": False}
    again = broker.event("trip_service", event_type, trip)
    eventually(lambda: query(bike_database_url, "SELECT 1 FROM inbox WHERE event_id = :id", id=again["id"]))
    with transaction(bike_database_url) as session:
        operations.free_after_trips(session, [EndedTrip(event["id"], trip["id"], bike["id"])] * 2)
    broker.close()
    assert public_id(bike_database_url, bike["id"]) == after


def test_ends_that_come_together_change_each_id_once(bikes: Any, bike_database_url: str) -> None:
    trips = {bikes.add()["id"]: new_id() for _ in range(4)}
    before = {bike_id: public_id(bike_database_url, bike_id) for bike_id in trips}
    for bike_id, trip_id in trips.items():
        bikes.check_out(bike_id, trip_id, f"rider of {bike_id}")
    calls = [bikes.check_in.call_async(bike_id, trip_id) for bike_id, trip_id in trips.items() for _ in range(3)]
    assert sum(call.result()["released"] for call in calls) == 4
    after = {bike_id: public_id(bike_database_url, bike_id) for bike_id in trips}
    assert len({*before.values(), *after.values()}) == 8
    assert {revision(bike_database_url, bike_id) for bike_id in trips} == {3}


def test_a_real_trip_that_ends_changes_it_once(
    services: Any, bike: Json, bike_database_url: str, trip_database_url: str
) -> None:
    before = public_id(bike_database_url, bike["id"])
    trip = services.trip_service.start(bike["id"], rider := new_id())
    services.trip_service.end(trip["id"], rider_id=rider)
    eventually(lambda: services.bike_service.get(bike["id"])["status"] == "available")
    after = public_id(bike_database_url, bike["id"])
    assert after != before
    # The event comes later than the call; once it is handled nothing has changed.
    eventually(lambda: query(trip_database_url, "SELECT count(*) FROM outbox")[0][0] == 0)
    eventually(lambda: query(bike_database_url, "SELECT count(*) FROM inbox WHERE handler = 'free_after_trip'")[0][0])
    services.trip_service.end(trip["id"], rider_id=rider)
    assert public_id(bike_database_url, bike["id"]) == after
    assert revision(bike_database_url, bike["id"]) == 3


def test_the_sweeper_changes_it_once(bikes: Any, bike: Json, bike_database_url: str, trip_database_url: str) -> None:
    before = public_id(bike_database_url, bike["id"])
    bikes.check_out(bike["id"], new_id(), "rita")
    sweeper = Sweeper(partial(transaction, trip_database_url), bikes)
    sweeper.reconcile(minimum_age_s=0)
    eventually(lambda: bikes.get(bike["id"])["status"] == "available")
    after = public_id(bike_database_url, bike["id"])
    assert after != before
    sweeper.reconcile(minimum_age_s=0)
    assert public_id(bike_database_url, bike["id"]) == after


def test_no_answer_of_the_fleet_has_it(bikes: Any, bike: Json, bike_database_url: str) -> None:
    secret = public_id(bike_database_url, bike["id"])
    told = [bikes.get(bike["id"]), bikes.list(limit=500), bikes.near(47.37, 8.54, limit=500)]
    told += [bikes.check_out(bike["id"], new_id(), "rita"), bikes.check_outs()]
    assert secret not in str(told)
    assert "vehicle_id" not in str(told)


def test_a_row_has_what_the_feed_needs(bikes: Any, bike: Json, bike_database_url: str) -> None:
    [row] = bikes.feed_of([bike["id"], new_id()])["items"]
    assert row[:7] == [bike["id"], 1, "available", public_id(bike_database_url, bike["id"]), "ebike", *builders.ZURICH]
    assert row[7] == row[9] > 1.7e9
    assert row[8] == 50
    bikes.change(bike["id"], {"status": "out_of_service"})
    assert [each[1:3] for each in bikes.feed_of([bike["id"]])["items"]] == [[2, "out_of_service"]]


def test_the_feed_has_every_bike_that_is_not_in_use_or_retired_once(bikes: Any) -> None:
    added = [bikes.add({"location": point(builders.ZURICH)})["id"] for _ in range(7)] + [bikes.add()["id"]]
    bikes.check_out(added[0], new_id(), "rita")
    bikes.retire(added[1])
    bikes.change(added[2], {"status": "out_of_service"})
    found: list[str] = []
    after = None
    while True:
        page = bikes.feed(after=after, rows=2)
        found += [row[0] for row in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert found == sorted(found)
    assert len(set(found)) == len(found)
    assert set(added) & set(found) == set(added[2:])
    assert bikes.feed_of(added[:2])["items"] == []


@pytest.mark.parametrize("arguments", [{"rows": 0}, {"rows": 20_001}, {"after": "x"}])
def test_a_wrong_page_is_refused(bikes: Any, arguments: Json) -> None:
    with pytest.raises(Invalid):
        bikes.feed(**arguments)


def test_a_bike_that_older_code_added_is_of_the_default_type(bikes: Any, bike_database_url: str) -> None:
    # The columns are not named, as code does that was there before them.
    query(bike_database_url, "INSERT INTO bikes (id) VALUES (:id)", id=(bike_id := new_id()))
    assert bikes.get(bike_id)["vehicle_type_id"] == "bike"
    assert bikes.feed_of([bike_id])["items"][0][4] == "bike"
