"""GBFS over HTTP: what the feeds hold, how fresh that is, how they are cached, and what they do not tell."""

import gzip
import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.e2e import gbfs
from tests.e2e.client import Api, Client, Json, Stack, at, errors, eventually, now, ok, parse_time, problem, unique
from tests.e2e.geo import far_away, point
from tests.e2e.telemetry import position, report

AddBike = Callable[..., Json]
PATHS = ["/gbfs/manifest.json", "/gbfs/3.0/gbfs.json", *(f"/gbfs/3.0/{name}.json" for name in gbfs.FEEDS)]


@pytest.mark.parametrize("path", PATHS)
def test_a_feed_is_open_to_any_origin_and_to_caches(anonymous: Client, path: str) -> None:
    response = gbfs.plain(anonymous, path, Origin="https://planner.example.com")
    document = ok(response)
    assert document["version"] == "3.0"
    assert parse_time(document["last_updated"]) <= now()
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["Cache-Control"] == f"max-age={document['ttl']}"
    assert response.headers["ETag"].startswith('"')
    assert "Accept-Encoding" in response.headers["Vary"]


@pytest.mark.parametrize("path", PATHS)
def test_what_a_client_has_already_is_not_sent_again(anonymous: Client, path: str) -> None:
    def unchanged() -> bool:
        # The fleet may change, and its time goes on, between the two.
        tag = gbfs.plain(anonymous, path).headers["ETag"]
        again = gbfs.plain(anonymous, path, **{"If-None-Match": f'"other", {tag}'})
        return again.status_code == 304 and again.content == b"" and again.headers["ETag"] == tag

    eventually(unchanged)
    assert gbfs.plain(anonymous, path, **{"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("path", ["/gbfs/3.0/system_information.json", gbfs.VEHICLES])
def test_a_feed_comes_compressed_to_who_takes_that(anonymous: Client, add_bike: AddBike, path: str) -> None:
    add_bike()

    def alike() -> bool:
        pair = [requests.get(anonymous.base_url + path, headers={"Accept-Encoding": coding}, stream=True, timeout=10)
                for coding in ("gzip", "identity")]  # fmt: skip
        raw, text = (each.raw.read(decode_content=False) for each in pair)
        assert pair[0].headers["Content-Encoding"] == "gzip"
        assert "Content-Encoding" not in pair[1].headers
        assert pair[0].headers["ETag"] != pair[1].headers["ETag"]
        assert pair[0].headers["Content-Length"] == str(len(raw))
        return gzip.decompress(raw) == text

    eventually(alike)
    refused = requests.get(anonymous.base_url + path, headers={"Accept-Encoding": "gzip;q=0"}, timeout=10)
    assert "Content-Encoding" not in refused.headers


def test_a_page_of_any_origin_may_ask_beforehand(anonymous: Client) -> None:
    wish = {"Origin": "https://planner.example.com", "Access-Control-Request-Method": "GET"}
    answer = anonymous.request("OPTIONS", gbfs.VEHICLES, headers=wish)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "GET" in answer.headers["Access-Control-Allow-Methods"]
    # What is not a feed is as open as the settings say.
    assert "Access-Control-Allow-Origin" not in anonymous.get("/v1/bikes", headers=wish).headers


def test_the_feeds_lead_to_each_other(anonymous: Client, stack: Stack) -> None:
    [dataset] = gbfs.data(anonymous, "/gbfs/manifest.json")["datasets"]
    assert dataset["system_id"] == gbfs.data(anonymous, "/gbfs/3.0/system_information.json")["system_id"]
    [version] = dataset["versions"]
    feeds = gbfs.data(anonymous, urlsplit(version["url"]).path)["feeds"]
    assert {each["name"] for each in feeds} == {"gbfs", *gbfs.FEEDS}
    for each in feeds:
        assert each["url"].startswith(stack.gateway_url)
        assert requests.get(each["url"], timeout=10).status_code == 200
    problem(anonymous.get("/gbfs/3.0/system_alerts.json"), 404)


@pytest.mark.parametrize("host", ["bikes.example.org", "gateway_service:8000", "[::1]:8000"])
def test_the_addresses_are_those_of_the_host_that_was_asked(anonymous: Client, host: str) -> None:
    data = ok(anonymous.get("/gbfs/3.0/gbfs.json", headers={"Host": host}))["data"]
    assert all(f"//{host}/gbfs/3.0/" in feed["url"] for feed in data["feeds"])


@pytest.mark.parametrize("host", ["a b", "evil.example/x", "a@b", 'x"', "x:123456"])
def test_a_host_that_is_none_gets_into_no_link(anonymous: Client, host: str) -> None:
    problem(anonymous.get("/gbfs/3.0/gbfs.json", headers={"Host": host}), 400)


def test_a_bike_is_added_with_a_type_or_gets_the_default(operator: Client, add_bike: AddBike) -> None:
    assert add_bike()["vehicle_type_id"] == "bike"
    cargo = add_bike(vehicle_type_id="cargo")
    assert cargo["vehicle_type_id"] == "cargo"
    path = f"/v1/bikes/{cargo['id']}"
    assert ok(operator.patch(path, {"vehicle_type_id": "ebike"}))["vehicle_type_id"] == "ebike"
    assert ok(operator.get(path))["vehicle_type_id"] == "ebike"
    batch = ok(operator.post("/v1/bikes/batch", {"bikes": [{"vehicle_type_id": "cargo"}, {}]}), 201)["items"]
    assert [each["vehicle_type_id"] for each in batch] == ["cargo", "bike"]


def test_an_unknown_type_is_refused(operator: Client, bike: Json) -> None:
    wrong: Json = {"vehicle_type_id": "rocket"}
    assert at(errors(operator.post("/v1/bikes", wrong)), "vehicle_type_id")
    assert at(errors(operator.post("/v1/bikes/batch", {"bikes": [{}, wrong]})), "bikes.1.vehicle_type_id")
    assert at(errors(operator.patch(f"/v1/bikes/{bike['id']}", wrong)), "vehicle_type_id")
    assert at(errors(operator.patch(f"/v1/bikes/{bike['id']}", {"vehicle_type_id": None})), "vehicle_type_id")


def test_a_bike_is_shown_with_what_its_type_asks_for(anonymous: Client, add_bike: AddBike) -> None:
    places = [far_away() for _ in range(3)]
    given: list[Json] = [
        {"battery_percent": 50},
        {"vehicle_type_id": "ebike", "battery_percent": 50.9},
        {"vehicle_type_id": "cargo"},
    ]
    added = [add_bike(location=point(place), **fields) for place, fields in zip(places, given, strict=True)]
    shown = [gbfs.shown_at(anonymous, place) for place in places]
    ranges = {
        each["vehicle_type_id"]: each for each in gbfs.data(anonymous, "/gbfs/3.0/vehicle_types.json")["vehicle_types"]
    }
    assert "current_range_meters" not in shown[0]
    assert shown[1]["current_range_meters"] == ranges["ebike"]["max_range_meters"] // 2
    assert shown[1]["current_fuel_percent"] == 0.5
    assert (shown[2]["current_range_meters"], "current_fuel_percent" in shown[2]) == (0, False)
    for vehicle, bike in zip(shown, added, strict=True):
        assert (vehicle["is_reserved"], vehicle["is_disabled"]) == (False, False)
        assert vehicle["vehicle_type_id"] == bike["vehicle_type_id"]
        assert parse_time(vehicle["last_reported"]) == parse_time(bike["located_at"]).replace(microsecond=0)
        assert bike["id"] not in json.dumps(vehicle)
        assert uuid.UUID(vehicle["vehicle_id"]).version == 4


def test_a_disabled_bike_is_flagged_and_a_retired_one_absent(operator: Client, add_bike: AddBike) -> None:
    place = far_away()
    path = f"/v1/bikes/{add_bike(location=point(place))['id']}"
    before = gbfs.shown_at(operator, place)
    ok(operator.patch(path, {"status": "out_of_service"}))
    eventually(lambda: gbfs.shown_at(operator, place)["is_disabled"], 5.0)
    assert gbfs.shown_at(operator, place)["vehicle_id"] == before["vehicle_id"]
    operator.delete(path)
    gbfs.gone_from(operator, place)


def test_a_position_shows_within_5_s(operator: Client, add_bike: AddBike) -> None:
    place, bike = far_away(), add_bike(vehicle_type_id="ebike", battery_percent=80)
    moment = now()
    report(operator, bike["id"], [position(place, moment, battery_percent=40)])
    shown = gbfs.shown_at(operator, place)
    assert shown["current_fuel_percent"] == 0.4
    assert parse_time(shown["last_reported"]) == moment.replace(microsecond=0)
    # A late one moves nothing.
    report(operator, bike["id"], [position(far_away(), moment - timedelta(seconds=9))])
    settled, last = far_away(), add_bike()
    report(operator, last["id"], [position(settled)])
    gbfs.shown_at(operator, settled)
    assert gbfs.at(operator, place)


def test_a_bike_that_was_never_heard_of_shows_with_its_first_position(operator: Client) -> None:
    place, bike = far_away(), ok(operator.post("/v1/bikes", {"name": unique()}), 201)
    report(operator, bike["id"], [position(place)])
    assert gbfs.shown_at(operator, place)["vehicle_type_id"] == "bike"


def test_the_feed_is_as_old_as_its_data(anonymous: Client) -> None:
    updated = parse_time(ok(anonymous.get(gbfs.VEHICLES))["last_updated"])
    assert timedelta(seconds=-1) < now() - updated < timedelta(seconds=15)


def test_of_ten_trips_no_two_are_linked_by_the_feed(api: Api, operator: Client, add_bike: AddBike) -> None:
    """Who knows where the bike stood after each trip finds nothing there that says it was the same bike."""
    place = far_away()
    bike = add_bike(location=point(place), vehicle_type_id="ebike", battery_percent=90)
    neighbours = [add_bike(vehicle_type_id="ebike", battery_percent=90) for _ in range(5)]
    sightings = [gbfs.shown_at(operator, place)]
    for number in range(10):
        rider = api.rider()
        trip = ok(rider.post("/v1/trips", {"bike_id": bike["id"]}), 201)
        gbfs.gone_from(operator, place)
        place = far_away()
        report(operator, bike["id"], [position(place, battery_percent=90)])
        end = (operator, "cancel") if number % 3 == 2 else (rider, "end")
        ok(end[0].post(f"/v1/trips/{trip['id']}/{end[1]}"))
        sightings.append(gbfs.shown_at(operator, place))
    assert len({each["vehicle_id"] for each in sightings}) == 11
    common = common_values(sightings)
    # What all sightings share, other bikes have as well.
    for neighbour in neighbours:
        shown = gbfs.shown_at(operator, neighbour["location"]["coordinates"])
        assert common <= values(shown)
    assert not any(bike[name] in json.dumps(sightings) for name in ("id", "name", "created_at"))
    order = [each["vehicle_id"] for each in gbfs.vehicles(operator)]
    assert order == sorted(order)


def values(vehicle: Any, path: str = "") -> set[tuple[str, Any]]:
    """All that an entry says, links taken apart."""
    if isinstance(vehicle, dict):
        return {each for name, value in vehicle.items() for each in values(value, f"{path}.{name}")}
    if isinstance(vehicle, str) and "://" in vehicle:
        return {(path, part) for part in vehicle.replace("?", "/").replace("=", "/").split("/")}
    return {(path, vehicle)}


def common_values(sightings: list[Json]) -> set[tuple[str, Any]]:
    """What any two of them share."""
    found = [values(each) for each in sightings]
    return {each for index, one in enumerate(found) for other in found[:index] for each in one & other}


def test_the_public_id_is_nowhere_but_in_the_feed(
    operator: Client, rider: Client, add_bike: AddBike, broker: Any, start_trip: Callable[[Client, Json], Json]
) -> None:
    place = far_away()
    with broker.events("bike_service") as log:
        bike = add_bike(location=point(place))
        public = gbfs.shown_at(operator, place)["vehicle_id"]
        trip = start_trip(rider, bike)
        ok(rider.post(f"/v1/trips/{trip['id']}/end"))
        changed = log.wait(bike["id"], "bike_changed", 2)
    after = eventually(
        lambda: [each["vehicle_id"] for each in gbfs.at(operator, place) if each["vehicle_id"] != public]
    )[0]
    told = [ok(operator.get(path)) for path in (f"/v1/bikes/{bike['id']}", f"/v1/trips/{trip['id']}")]
    told += [ok(operator.get("/v1/bikes", lat=place[1], lon=place[0])), changed]
    assert not any(each in json.dumps(told) for each in (public, after, "vehicle_id"))
    problem(operator.get(f"/v1/bikes/{public}"), 404)
