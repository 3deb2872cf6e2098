"""Events: one for each committed change, with the bike or trip as the API answers it and a growing revision."""

import itertools
import random
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.e2e.broker import Broker
from tests.e2e.client import Client, Json, eventually, now, ok, parse_time, problem, unique, wait_until
from tests.e2e.geo import point, shifted
from tests.e2e.telemetry import position, report

AddBike = Callable[..., Json]
StartTrip = Callable[[Client, Json], Json]


def assert_shape(event: Json, event_type: str) -> None:
    assert {"id", "type", "occurred_at", "version", "data"} <= set(event)
    assert uuid.UUID(event["id"])
    assert event["type"] == event_type
    assert event["version"] == 1
    assert abs((parse_time(event["occurred_at"]) - now()).total_seconds()) < 60
    revision = event["data"]["revision"]
    assert isinstance(revision, int | float)
    assert not isinstance(revision, bool)


def types(events: list[Json]) -> list[str]:
    return [event["type"] for event in events]


def without_revision(event: Json) -> Json:
    return {key: value for key, value in event["data"].items() if key != "revision"}


def assert_revisions_grow(events: list[Json]) -> None:
    revisions = [event["data"]["revision"] for event in events]
    assert all(a < b for a, b in itertools.pairwise(revisions)), revisions


def test_adding_a_bike_publishes_bike_added(broker: Broker, add_bike: AddBike) -> None:
    with broker.events("bike_service") as log:
        bike = add_bike(battery_percent=55)
        (event,) = log.wait(bike["id"], "bike_added")
    assert_shape(event, "bike_added")
    assert without_revision(event) == bike


def test_each_bike_of_a_batch_publishes_bike_added(broker: Broker, operator: Client) -> None:
    with broker.events("bike_service") as log:
        bikes = [{"name": unique()} for _ in range(5)]
        for bike in ok(operator.post("/v1/bikes/batch", {"bikes": bikes}), 201)["items"]:
            (event,) = log.wait(bike["id"], "bike_added")
            assert without_revision(event) == bike


def test_each_change_of_a_bike_publishes_one_event_and_its_revision_grows(
    broker: Broker, operator: Client, add_bike: AddBike
) -> None:
    with broker.events("bike_service") as log:
        bike = add_bike()
        path = f"/v1/bikes/{bike['id']}"
        renamed = ok(operator.patch(path, {"name": unique("renamed")}))
        broken = ok(operator.patch(path, {"status": "out_of_service"}))
        assert operator.delete(path).status_code == 204
        retired = ok(operator.get(path))
        log.wait(bike["id"], "bike_retired")
        events = eventually(lambda: found if len(found := log.of(bike["id"])) >= 4 else None)
    assert types(events) == ["bike_added", "bike_changed", "bike_changed", "bike_retired"]
    assert [without_revision(event) for event in events] == [bike, renamed, broken, retired]
    assert_revisions_grow(events)


def test_a_refused_change_publishes_nothing(broker: Broker, operator: Client, bike: Json, add_bike: AddBike) -> None:
    with broker.events("bike_service") as log:
        taken = add_bike()["name"]
        path = f"/v1/bikes/{bike['id']}"
        problem(operator.patch(path, {"name": taken}), 409)
        problem(operator.patch(path, {"status": "flying"}), 422)
        name = unique("renamed")
        ok(operator.patch(path, {"name": name}))
        events = log.wait(bike["id"], "bike_changed")
        assert [event["data"]["name"] for event in events if event["type"] == "bike_changed"] == [name]


def test_a_trip_publishes_its_start_and_its_end(
    broker: Broker, rider: Client, bike: Json, start_trip: StartTrip
) -> None:
    with broker.events("trip_service") as log:
        trip = start_trip(rider, bike)
        path = f"/v1/trips/{trip['id']}/end"
        ended = ok(rider.post(path))
        # ending again changes nothing, so it publishes nothing
        ok(rider.post(path))
        other = start_trip(rider, eventually_available(rider, bike))
        ok(rider.post(f"/v1/trips/{other['id']}/end"))
        log.wait(other["id"], "trip_ended")
        log.wait(trip["id"], "trip_started")
        events = log.wait(trip["id"], "trip_ended")
    assert types(events) == ["trip_started", "trip_ended"]
    assert_shape(events[0], "trip_started")
    assert_shape(events[1], "trip_ended")
    assert [without_revision(event) for event in events] == [trip, ended]
    assert_revisions_grow(events)


def eventually_available(client: Client, bike: Json) -> Json:
    def available() -> Json | None:
        found: Json = ok(client.get(f"/v1/bikes/{bike['id']}"))
        return found if found["status"] == "available" else None

    found = eventually(available)
    assert found
    return found


def test_a_cancel_publishes_trip_cancelled(
    broker: Broker, rider: Client, operator: Client, bike: Json, start_trip: StartTrip
) -> None:
    with broker.events("trip_service") as log:
        trip = start_trip(rider, bike)
        cancelled = ok(operator.post(f"/v1/trips/{trip['id']}/cancel"))
        log.wait(trip["id"], "trip_started")
        events = log.wait(trip["id"], "trip_cancelled")
    assert types(events) == ["trip_started", "trip_cancelled"]
    assert_shape(events[1], "trip_cancelled")
    assert without_revision(events[1]) == cancelled


def test_a_refused_start_publishes_nothing(
    broker: Broker, rider: Client, other_rider: Client, bike: Json, start_trip: StartTrip
) -> None:
    with broker.events("trip_service") as log:
        trip = start_trip(rider, bike)
        problem(other_rider.post("/v1/trips", {"bike_id": bike["id"]}), 409)
        ok(rider.post(f"/v1/trips/{trip['id']}/end"))
        log.wait(trip["id"], "trip_ended")
        about = [found.json() for found in log.letters if found.json()["data"]["bike_id"] == bike["id"]]
    assert {event["data"]["rider_id"] for event in about} == {rider.sub}


def test_trip_ended_carries_the_distance_known_at_the_end(
    broker: Broker, rider: Client, operator: Client, bike: Json, start_trip: StartTrip, seeded: random.Random
) -> None:
    with broker.events("trip_service") as log:
        trip = start_trip(rider, bike)
        origin = tuple(bike["location"]["coordinates"])
        start = parse_time(trip["started_at"])
        place = shifted((origin[0], origin[1]), seeded.uniform(100, 200), 0)
        positions = [
            position((origin[0], origin[1]), start + timedelta(milliseconds=1)),
            position(place, start + timedelta(milliseconds=2)),
        ]
        report(operator, bike["id"], positions)
        eventually(lambda: ok(rider.get(f"/v1/trips/{trip['id']}"))["distance_m"] > 90)
        wait_until(start + timedelta(milliseconds=2))
        ended = ok(rider.post(f"/v1/trips/{trip['id']}/end"))
        events = log.wait(trip["id"], "trip_ended")
    assert events[-1]["data"]["distance_m"] == ended["distance_m"] > 90


def test_the_bike_of_a_trip_changes_and_its_revision_grows(
    broker: Broker, rider: Client, add_bike: AddBike, start_trip: StartTrip
) -> None:
    with broker.events("bike_service") as log:
        bike = add_bike()
        trip = start_trip(rider, bike)
        ok(rider.post(f"/v1/trips/{trip['id']}/end"))
        log.wait(bike["id"], "bike_added")
        events = log.wait(bike["id"], "bike_changed", 2)
        events = eventually(lambda: found if (found := log.of(bike["id"]))[-1]["data"]["status"] != "in_use" else None)
    # it may have been reserved on the way
    assert [status for event in events if (status := event["data"]["status"]) != "reserved"] == [
        "available",
        "in_use",
        "available",
    ]
    assert_revisions_grow(events)


@pytest.mark.parametrize("service", ["bike_service", "trip_service"])
def test_the_request_id_is_carried_in_event_headers(
    broker: Broker, operator: Client, rider: Client, bike: Json, service: str
) -> None:
    headers = {"X-Request-ID": str(uuid.uuid4())}
    with broker.events(service) as log:
        if service == "bike_service":
            made = ok(operator.post("/v1/bikes", {"name": unique(), "location": point((1, 1))}, headers=headers), 201)
            (event,) = log.wait(made["id"], "bike_added")
        else:
            made = ok(rider.post("/v1/trips", {"bike_id": bike["id"]}, headers=headers), 201)
            (event,) = log.wait(made["id"], "trip_started")
        assert headers["X-Request-ID"] in map(str, log.headers_of(event["id"]).values())
