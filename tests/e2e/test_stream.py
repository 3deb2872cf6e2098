"""The live stream: a ride as an operator watches it, and who may not."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from tests.e2e.client import Api, Client, Json, mint, ok, problem
from tests.e2e.telemetry import position, report

Watch = Iterator[tuple[str, str, Json]]
"""Name, id and data of each event."""


@contextmanager
def watching(client: Client, headers: dict[str, str] | None = None, **params: Any) -> Iterator[Watch]:
    """The stream, open; ends with an error when nothing comes for longer than a heartbeat takes."""
    with client.request("GET", "/v1/stream", params=params, headers=headers, stream=True, timeout=20) as response:
        assert response.status_code == 200, response.text
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        yield events(response.iter_lines())


def events(lines: Iterator[bytes]) -> Watch:
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.decode().partition(":")
        if not line and "event" in fields:
            yield fields["event"], fields["id"], json.loads(fields["data"])
        fields = {**fields, name: value.strip()} if line else {}


def about(watch: Watch, bike_id: str) -> Iterator[tuple[str, Json]]:
    """What is told of one bike and its trips."""
    for name, _, data in watch:
        if bike_id in (data.get("bike_id"), data.get("id")):
            yield name, data


def until(told: Iterator[tuple[str, Json]], event: str, /, **wanted: Any) -> Json:
    """The data of the next event so named with all of `wanted`."""
    for found, data in told:
        if found == event and wanted.items() <= data.items():
            return data
    raise AssertionError("the stream has ended")


def test_a_ride_is_seen_as_it_happens(api: Api, operator: Client, rider: Client, add_bike: Callable[..., Json]) -> None:
    with watching(operator) as watch:
        bike = add_bike()
        told = about(watch, bike["id"])
        name, added = next(told)
        assert (name, added) == ("bike", {**bike, "revision": added["revision"]})
        trip = ok(rider.post("/v1/trips", {"bike_id": bike["id"]}), 201)
        started = until(told, "trip", id=trip["id"])
        assert started == {**trip, "revision": started["revision"]}
        here = position()
        report(api.vehicle(bike["id"]), bike["id"], [here])
        moved = until(told, "position", bike_id=bike["id"])
        assert moved["location"] == here["location"]
        assert moved["trip_id"] == trip["id"]
        ended = ok(rider.post(f"/v1/trips/{trip['id']}/end"))
        assert until(told, "trip", status="ended")["fare"] == ended["fare"]
        assert until(told, "bike", status="available")["revision"] > added["revision"]


def test_a_box_shows_its_part_of_the_city(operator: Client, add_bike: Callable[..., Json]) -> None:
    inside = add_bike()
    longitude, latitude = inside["location"]["coordinates"]
    box = f"{longitude - 0.001},{latitude - 0.001},{longitude + 0.001},{latitude + 0.001}"
    with watching(operator, bbox=box) as watch:
        add_bike()
        ok(operator.patch(f"/v1/bikes/{inside['id']}", {"name": f"{inside['name']} again"}))
        assert next(watch)[2]["id"] == inside["id"]


def test_what_was_missed_is_told_or_that_it_cannot_be(operator: Client, add_bike: Callable[..., Json]) -> None:
    with watching(operator) as watch:
        bike = add_bike()
        _, event_id, _ = next(each for each in watch if each[2].get("id") == bike["id"])
    missed = add_bike()
    with watching(operator, {"Last-Event-ID": event_id}) as watch:
        assert until(about(watch, missed["id"]), "bike")["id"] == missed["id"]
    with watching(operator, {"Last-Event-ID": "of another time"}) as watch:
        assert next(watch)[0] == "reset"


def test_it_ends_with_its_token(api: Api) -> None:
    short = Client(api.base_url, mint(api.secret, "operator", "olga", timedelta(seconds=2)))
    with watching(short) as watch:
        assert [name for name, _, _ in watch if name == "reset"] == []


@pytest.mark.parametrize("bbox", ["1,2,3", "0,50,1,40", "x"])
def test_a_bad_box_is_invalid(operator: Client, bbox: str) -> None:
    assert "bbox" in problem(operator.get("/v1/stream", bbox=bbox), 422)["errors"]


def test_it_is_for_operators(api: Api, rider: Client, vehicle: Client) -> None:
    problem(api.anonymous.get("/v1/stream"), 401)
    problem(rider.get("/v1/stream"), 403)
    problem(vehicle.get("/v1/stream"), 403)


def test_it_is_not_in_the_document(api: Api) -> None:
    assert "/v1/stream" not in ok(api.anonymous.get("/openapi.json"))["paths"]
