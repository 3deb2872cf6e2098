"""Trips: start, end, cancel, list and get; money; who sees what."""

import itertools
import re
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.e2e.client import Client, Json, eventually, iso, now, ok, parse_time, problem, unknown_id
from tests.e2e.geo import far_away, point, shifted
from tests.e2e.telemetry import position, report, wait_at

AddBike = Callable[..., Json]
StartTrip = Callable[[Client, Json], Json]

FIELDS = {
    "id",
    "bike_id",
    "rider_id",
    "status",
    "started_at",
    "ended_at",
    "ended_by",
    "start_location",
    "end_location",
    "distance_m",
    "duration_s",
    "fare",
}
SET_BY_END = ("ended_at", "ended_by", "end_location", "duration_s", "fare")


def end(client: Client, trip: Json, **body: object) -> Json:
    ended: Json = ok(client.post(f"/v1/trips/{trip['id']}/end", body or None))
    return ended


def cancel(client: Client, trip: Json) -> Json:
    cancelled: Json = ok(client.post(f"/v1/trips/{trip['id']}/cancel"))
    return cancelled


def get(client: Client, trip: Json) -> Json:
    found: Json = ok(client.get(f"/v1/trips/{trip['id']}"))
    return found


def bike_is(client: Client, bike_id: str, status: str) -> bool:
    return bool(ok(client.get(f"/v1/bikes/{bike_id}"))["status"] == status)


# start


def test_a_started_trip_is_active_and_answered_in_full(rider: Client, operator: Client, bike: Json) -> None:
    trip = ok(rider.post("/v1/trips", {"bike_id": bike["id"]}), 201)
    assert set(trip) >= FIELDS
    assert uuid.UUID(trip["id"])
    assert (trip["bike_id"], trip["rider_id"], trip["status"]) == (bike["id"], rider.sub, "active")
    assert abs((parse_time(trip["started_at"]) - now()).total_seconds()) < 30
    assert trip["start_location"] == bike["location"]
    assert [trip[field] for field in SET_BY_END] == [None] * 5
    assert get(rider, trip) == trip
    assert get(operator, trip) == trip
    assert eventually(lambda: bike_is(operator, bike["id"], "in_use"))


def test_no_such_bike_is_404(rider: Client) -> None:
    problem(rider.post("/v1/trips", {"bike_id": unknown_id()}), 404)


def test_a_bike_in_use_is_409(other_rider: Client, trip: Json) -> None:
    problem(other_rider.post("/v1/trips", {"bike_id": trip["bike_id"]}), 409)


def test_a_bike_out_of_service_is_409(rider: Client, operator: Client, bike: Json) -> None:
    ok(operator.patch(f"/v1/bikes/{bike['id']}", {"status": "out_of_service"}))
    problem(rider.post("/v1/trips", {"bike_id": bike["id"]}), 409)


def test_a_retired_bike_cannot_be_rented(rider: Client, operator: Client, bike: Json) -> None:
    operator.delete(f"/v1/bikes/{bike['id']}")
    problem(rider.post("/v1/trips", {"bike_id": bike["id"]}), 409, 404)


def test_a_rider_has_one_active_trip(rider: Client, operator: Client, trip: Json, add_bike: AddBike) -> None:
    second = add_bike()
    problem(rider.post("/v1/trips", {"bike_id": second["id"]}), 409)
    assert eventually(lambda: bike_is(operator, second["id"], "available"))
    end(rider, trip)
    ok(rider.post("/v1/trips", {"bike_id": second["id"]}), 201)


# end


def test_the_end_sets_what_it_sets(rider: Client, trip: Json) -> None:
    place = shifted(tuple(trip["start_location"]["coordinates"]), 400, 300)
    ended = end(rider, trip, location=point(place))
    assert (ended["id"], ended["status"], ended["ended_by"]) == (trip["id"], "ended", "rider")
    assert ended["end_location"]["coordinates"] == pytest.approx(list(place), abs=1e-7)
    took = parse_time(ended["ended_at"]) - parse_time(trip["started_at"])
    assert took >= timedelta(0)
    assert ended["duration_s"] == pytest.approx(took.total_seconds(), abs=1)
    assert ended["distance_m"] >= 0
    # nothing else, but for the distance
    untouched = FIELDS - {*SET_BY_END, "status", "distance_m"}
    assert {field: ended[field] for field in untouched} == {field: trip[field] for field in untouched}
    assert get(rider, trip) == ended


def test_the_fare_is_a_decimal_string_with_a_currency(rider: Client, trip: Json) -> None:
    fare = end(rider, trip)["fare"]
    assert set(fare) == {"amount", "currency"}
    assert isinstance(fare["amount"], str)
    assert re.fullmatch(r"\d+\.\d{2}", fare["amount"])
    assert re.fullmatch(r"[A-Z]{3}", fare["currency"])


def test_an_operator_may_end_a_trip(operator: Client, trip: Json) -> None:
    assert end(operator, trip)["ended_by"] == "operator"


@pytest.mark.parametrize("body", [None, {}], ids=["no body", "empty object"])
def test_the_body_of_an_end_is_optional(rider: Client, trip: Json, body: Json | None) -> None:
    ended = ok(rider.post(f"/v1/trips/{trip['id']}/end", body))
    assert ended["status"] == "ended"


def test_ending_again_answers_the_same(rider: Client, operator: Client, trip: Json) -> None:
    first = end(rider, trip, location=point(far_away()))
    assert end(rider, trip) == first
    assert end(rider, trip, location=point(far_away())) == first
    assert end(operator, trip) == first


def test_a_cancelled_trip_cannot_be_ended(rider: Client, operator: Client, trip: Json) -> None:
    cancelled = cancel(operator, trip)
    problem(rider.post(f"/v1/trips/{trip['id']}/end"), 409)
    assert get(rider, trip) == cancelled


def test_within_a_second_of_an_end_the_bike_can_be_rented(rider: Client, other_rider: Client, trip: Json) -> None:
    end(rider, trip)
    body = {"bike_id": trip["bike_id"]}
    assert eventually(lambda: other_rider.post("/v1/trips", body).status_code == 201, timeout=1)


# cancel


def test_a_cancelled_trip_has_no_fare_and_its_bike_is_available(operator: Client, rider: Client, trip: Json) -> None:
    cancelled = cancel(operator, trip)
    assert (cancelled["id"], cancelled["status"], cancelled["fare"]) == (trip["id"], "cancelled", None)
    assert get(rider, trip) == cancelled
    assert eventually(lambda: bike_is(operator, trip["bike_id"], "available"))


def test_cancelling_again_answers_the_same(operator: Client, trip: Json) -> None:
    first = cancel(operator, trip)
    assert cancel(operator, trip) == first


def test_an_ended_trip_cannot_be_cancelled(operator: Client, rider: Client, trip: Json) -> None:
    ended = end(rider, trip)
    problem(operator.post(f"/v1/trips/{trip['id']}/cancel"), 409)
    assert get(rider, trip) == ended


def test_after_a_cancel_the_rider_may_start_again(operator: Client, rider: Client, trip: Json, bike: Json) -> None:
    cancel(operator, trip)
    assert eventually(lambda: rider.post("/v1/trips", {"bike_id": bike["id"]}).status_code == 201)


# other riders


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/route"), ("POST", "/end")])
def test_a_trip_is_unknown_to_every_other_rider(
    rider: Client, other_rider: Client, trip: Json, method: str, path: str
) -> None:
    theirs = problem(other_rider.request(method, f"/v1/trips/{trip['id']}{path}"), 404)
    nobodys = problem(other_rider.request(method, f"/v1/trips/{unknown_id()}{path}"), 404)
    assert (theirs["type"], theirs["title"]) == (nobodys["type"], nobodys["title"])
    assert get(rider, trip)["status"] == "active"


def test_a_rider_lists_only_their_own_trips(rider: Client, other_rider: Client, trip: Json) -> None:
    assert [found["id"] for found in rider.all("/v1/trips")] == [trip["id"]]
    assert other_rider.all("/v1/trips") == []
    assert other_rider.all("/v1/trips", bike_id=trip["bike_id"]) == []
    asked = other_rider.get("/v1/trips", rider_id=rider.sub)
    assert asked.status_code in (403, 422) or ok(asked)["items"] == []


# lists


@pytest.fixture
def three_trips(rider: Client, operator: Client, add_bike: AddBike, start_trip: StartTrip) -> list[Json]:
    """Of `rider`, oldest first: one ended, one cancelled, one active."""
    trips = [start_trip(rider, add_bike())]
    end(rider, trips[0])
    trips.append(start_trip(rider, add_bike()))
    cancel(operator, trips[1])
    trips.append(start_trip(rider, add_bike()))
    return trips


def test_a_list_is_newest_first(rider: Client, operator: Client, three_trips: list[Json]) -> None:
    newest_first = [trip["id"] for trip in reversed(three_trips)]
    assert [trip["id"] for trip in rider.all("/v1/trips")] == newest_first
    assert [trip["id"] for trip in operator.all("/v1/trips", rider_id=rider.sub)] == newest_first


@pytest.mark.parametrize(("status", "index"), [("ended", 0), ("cancelled", 1), ("active", 2)])
def test_a_list_is_filtered_by_status(rider: Client, three_trips: list[Json], status: str, index: int) -> None:
    items = rider.all("/v1/trips", status=status)
    assert items == [get(rider, three_trips[index])]


def test_a_list_is_filtered_by_bike(rider: Client, operator: Client, three_trips: list[Json]) -> None:
    for trip in three_trips:
        for client in (rider, operator):
            assert [found["id"] for found in client.all("/v1/trips", bike_id=trip["bike_id"])] == [trip["id"]]


def test_a_list_is_filtered_by_time(rider: Client, three_trips: list[Json]) -> None:
    first, second, third = (trip["id"] for trip in three_trips)
    # halfway, so that it does not matter whether a bound is included
    starts = [parse_time(trip["started_at"]) for trip in three_trips]
    early, late = (iso(a + (b - a) / 2) for a, b in itertools.pairwise(starts))
    assert [trip["id"] for trip in rider.all("/v1/trips", started_after=early)] == [third, second]
    assert [trip["id"] for trip in rider.all("/v1/trips", started_before=late)] == [second, first]
    assert [trip["id"] for trip in rider.all("/v1/trips", started_after=early, started_before=late)] == [second]


def test_a_walk_sees_each_trip_exactly_once_while_trips_are_started(
    rider: Client, add_bike: AddBike, start_trip: StartTrip
) -> None:
    def ride() -> str:
        trip = start_trip(rider, add_bike())
        end(rider, trip)
        return str(trip["id"])

    there = [ride() for _ in range(7)]
    seen: list[str] = []
    for page in rider.pages("/v1/trips", limit=2):
        assert len(page) <= 2
        seen += [trip["id"] for trip in page]
        ride()
        assert len(seen) < 50
    assert len(seen) == len(set(seen))
    assert [id_ for id_ in seen if id_ in there] == list(reversed(there))


def test_a_bike_that_moved_starts_its_next_trip_where_it_is(
    rider: Client, operator: Client, bike: Json, start_trip: StartTrip
) -> None:
    here = position()
    report(operator, bike["id"], [here])
    wait_at(operator, bike["id"], here)
    assert start_trip(rider, bike)["start_location"]["coordinates"] == pytest.approx(here["location"]["coordinates"])
