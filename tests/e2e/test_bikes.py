"""Bikes: add, batch, get, change, retire, and who sees the location of a bike in use."""

import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.client import Client, Json, at, errors, eventually, now, ok, parse_time, problem, unique
from tests.e2e.geo import box, far_away, point

FIELDS = {
    "id", "name", "status", "location", "located_at", "battery_percent", "vehicle_type_id", "created_at", "updated_at",
}  # fmt: skip

AddBike = Callable[..., Json]
StartTrip = Callable[[Client, Json], Json]


def get(client: Client, bike: Json) -> Json:
    found: Json = ok(client.get(f"/v1/bikes/{bike['id']}"))
    return found


def status_of(client: Client, bike: Json) -> str:
    return str(get(client, bike)["status"])


def place_of(bike: Json) -> tuple[float, float]:
    lon, lat = bike["location"]["coordinates"]
    return lon, lat


def listed(client: Client, bike: Json, place: tuple[float, float], **params: Any) -> bool:
    """Whether a bike is in the list of what is around a place."""
    return bike["id"] in [item["id"] for item in client.all("/v1/bikes", bbox=box(place), **params)]


def near(client: Client, bike: Json, place: tuple[float, float], **params: Any) -> bool:
    """Whether a bike is in the nearest list of a place."""
    items = ok(client.get("/v1/bikes", lon=place[0], lat=place[1], **params))["items"]
    return bike["id"] in [item["id"] for item in items]


# POST /v1/bikes


def test_a_new_bike_is_available_and_answered_in_full(operator: Client) -> None:
    name, place, before = unique("bike"), far_away(), now()
    response = operator.post("/v1/bikes", {"name": name, "location": point(place), "battery_percent": 87})
    bike = ok(response, 201)
    assert set(bike) >= FIELDS
    assert uuid.UUID(bike["id"])
    assert (bike["name"], bike["status"], bike["battery_percent"]) == (name, "available", 87)
    assert bike["location"]["type"] == "Point"
    assert bike["location"]["coordinates"] == pytest.approx(list(place), abs=1e-7)
    for time in ("located_at", "created_at", "updated_at"):
        assert abs((parse_time(bike[time]) - before).total_seconds()) < 30
    assert urlsplit(response.headers["Location"]).path == f"/v1/bikes/{bike['id']}"
    assert get(operator, bike) == bike


@pytest.mark.parametrize("field", ["name", "location", "battery_percent"])
def test_every_field_of_a_new_bike_is_optional(operator: Client, field: str) -> None:
    body = {"name": unique(), "location": point(far_away()), "battery_percent": 50}
    del body[field]
    bike = ok(operator.post("/v1/bikes", body), 201)
    for given, value in body.items():
        assert bike[given] == value
    if field != "name":
        assert bike[field] is None
    if field == "location":
        assert bike["located_at"] is None


@pytest.mark.parametrize("percent", [0, 100, None])
def test_battery_is_0_to_100_or_null(add_bike: AddBike, percent: int | None) -> None:
    assert add_bike(battery_percent=percent)["battery_percent"] == percent


def test_a_name_is_unique(operator: Client, bike: Json) -> None:
    problem(operator.post("/v1/bikes", {"name": bike["name"]}), 409)


# POST /v1/bikes/batch


def test_a_batch_adds_all_its_bikes(operator: Client) -> None:
    names = [unique() for _ in range(1000)]
    items = ok(operator.post("/v1/bikes/batch", {"bikes": [{"name": name} for name in names]}), 201)["items"]
    assert sorted(item["name"] for item in items) == sorted(names)
    assert len({item["id"] for item in items}) == 1000
    assert all(set(item) >= FIELDS for item in items)
    assert get(operator, items[500]) == items[500]


def test_a_batch_with_bad_rows_adds_nothing_and_names_each_of_them(operator: Client) -> None:
    good = [unique() for _ in range(3)]
    bad: list[Json] = [{"name": unique(), "battery_percent": 101}, {"name": unique(), "location": point((181, 0))}]
    rows = [{"name": good[0]}, bad[0], {"name": good[1]}, bad[1], {"name": good[2]}]
    found = errors(operator.post("/v1/bikes/batch", {"bikes": rows}))
    assert at(found, "bikes.1.battery_percent")
    assert at(found, "bikes.3.location.coordinates")
    assert not any(at(found, f"bikes.{index}") for index in (0, 2, 4))
    for name in good:
        ok(operator.post("/v1/bikes", {"name": name}), 201)


@pytest.mark.parametrize("where", ["already there", "twice in the batch"])
def test_a_batch_with_a_taken_name_adds_nothing(operator: Client, bike: Json, where: str) -> None:
    free, twice = unique(), unique()
    names = [free, bike["name"]] if where == "already there" else [free, twice, twice]
    problem(operator.post("/v1/bikes/batch", {"bikes": [{"name": name} for name in names]}), 409, 422)
    ok(operator.post("/v1/bikes", {"name": free}), 201)


def test_a_batch_of_more_than_1000_is_422(operator: Client) -> None:
    assert "bikes" in errors(operator.post("/v1/bikes/batch", {"bikes": [{"name": unique()} for _ in range(1001)]}))


# PATCH and DELETE


def test_a_change_answers_the_changed_bike(operator: Client, bike: Json) -> None:
    name = unique("renamed")
    changed = ok(operator.patch(f"/v1/bikes/{bike['id']}", {"name": name, "status": "out_of_service"}))
    assert (changed["name"], changed["status"]) == (name, "out_of_service")
    assert parse_time(changed["updated_at"]) > parse_time(bike["updated_at"])
    assert {**changed, "updated_at": None} == {**bike, "updated_at": None, "name": name, "status": "out_of_service"}
    assert get(operator, bike) == changed
    assert ok(operator.patch(f"/v1/bikes/{bike['id']}", {"status": "available"}))["status"] == "available"


def test_a_bike_cannot_take_the_name_of_another(operator: Client, bike: Json, add_bike: AddBike) -> None:
    problem(operator.patch(f"/v1/bikes/{bike['id']}", {"name": add_bike()["name"]}), 409)
    assert get(operator, bike) == bike


def test_a_bike_in_use_is_neither_taken_out_of_service_nor_retired(operator: Client, bike: Json, trip: Json) -> None:
    assert eventually(lambda: status_of(operator, bike) == "in_use")
    problem(operator.patch(f"/v1/bikes/{bike['id']}", {"status": "out_of_service"}), 409)
    problem(operator.patch(f"/v1/bikes/{bike['id']}", {"status": "available"}), 409)
    problem(operator.delete(f"/v1/bikes/{bike['id']}"), 409)
    assert status_of(operator, bike) == "in_use"


def test_a_deleted_bike_is_retired_and_still_answered(operator: Client, anonymous: Client, bike: Json) -> None:
    response = operator.delete(f"/v1/bikes/{bike['id']}")
    assert response.status_code == 204
    assert response.content == b""
    assert status_of(anonymous, bike) == "retired"
    assert get(operator, bike)["name"] == bike["name"]


def test_a_retired_bike_is_listed_only_when_asked_for(operator: Client, anonymous: Client, bike: Json) -> None:
    place = place_of(bike)
    assert listed(anonymous, bike, place)
    assert near(anonymous, bike, place)
    operator.delete(f"/v1/bikes/{bike['id']}")
    for client in (operator, anonymous):
        assert not listed(client, bike, place)
        assert not listed(client, bike, place, status="available")
        assert not near(client, bike, place)
        assert listed(client, bike, place, status="retired")


def test_a_deleted_bike_keeps_its_history(operator: Client, rider: Client, bike: Json, start_trip: StartTrip) -> None:
    trip = start_trip(rider, bike)
    ok(rider.post(f"/v1/trips/{trip['id']}/end"))
    assert eventually(lambda: status_of(operator, bike) == "available")
    assert operator.delete(f"/v1/bikes/{bike['id']}").status_code == 204
    assert [found["id"] for found in operator.all("/v1/trips", bike_id=bike["id"])] == [trip["id"]]
    assert ok(rider.get(f"/v1/trips/{trip['id']}"))["status"] == "ended"


# who sees the location of a bike that is in use


@pytest.fixture
def in_use(operator: Client, bike: Json, trip: Json) -> Json:
    """`bike`, in use by `rider`."""
    assert eventually(lambda: status_of(operator, bike) == "in_use")
    return bike


@pytest.mark.parametrize("who", ["anonymous", "other_rider"])
def test_the_public_gets_no_location_of_a_bike_in_use(request: pytest.FixtureRequest, in_use: Json, who: str) -> None:
    client: Client = request.getfixturevalue(who)
    place = place_of(in_use)
    assert get(client, in_use)["status"] == "in_use"
    assert get(client, in_use)["location"] is None
    assert not listed(client, in_use, place)
    assert not listed(client, in_use, place, status="in_use")
    assert not near(client, in_use, place, status="in_use")


@pytest.mark.parametrize("who", ["operator", "rider"])
def test_operators_and_its_own_rider_get_the_location_of_a_bike_in_use(
    request: pytest.FixtureRequest, in_use: Json, who: str
) -> None:
    client: Client = request.getfixturevalue(who)
    place = place_of(in_use)
    assert get(client, in_use)["location"] == in_use["location"]
    assert listed(client, in_use, place)
    assert listed(client, in_use, place, status="in_use")
    assert near(client, in_use, place, status="in_use")


def test_after_the_trip_everyone_sees_the_location_again(
    anonymous: Client, rider: Client, in_use: Json, trip: Json
) -> None:
    ok(rider.post(f"/v1/trips/{trip['id']}/end"))
    assert eventually(lambda: get(anonymous, in_use)["location"])
    assert listed(anonymous, in_use, place_of(get(anonymous, in_use)))
