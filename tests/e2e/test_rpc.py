"""RPC: what a Nameko shell can ask the services, with plain dicts and strings."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from nameko.standalone.rpc import ClusterRpcProxy

import shared.errors
from tests.e2e.client import Client, Json, Stack, ok, unique, unknown_id

AddBike = Callable[..., Json]


@pytest.fixture
def rpc(stack: Stack) -> Iterator[Any]:
    with ClusterRpcProxy({"AMQP_URI": stack.amqp_uri}, timeout=10) as proxy:
        yield proxy


def plain(value: Any) -> bool:
    """Whether a value is nothing but dicts, lists, strings and numbers."""
    return bool(json.loads(json.dumps(value)) == value)


@pytest.mark.parametrize("service", ["bike_service", "trip_service"])
def test_a_service_tells_its_health(rpc: Any, service: str) -> None:
    health = rpc[service].health()
    assert plain(health)
    assert health


def test_get_gives_a_bike(rpc: Any, bike: Json) -> None:
    found = rpc.bike_service.get(bike["id"])
    assert plain(found)
    assert {field: found[field] for field in ("id", "name", "status", "location")} == {
        field: bike[field] for field in ("id", "name", "status", "location")
    }


def test_get_gives_a_trip(rpc: Any, trip: Json) -> None:
    found = rpc.trip_service.get(trip["id"])
    assert plain(found)
    assert {field: found[field] for field in ("id", "bike_id", "rider_id", "status")} == {
        field: trip[field] for field in ("id", "bike_id", "rider_id", "status")
    }


@pytest.mark.parametrize("service", ["bike_service", "trip_service"])
def test_list_gives_a_page(rpc: Any, service: str, trip: Json) -> None:
    page = rpc[service].list()
    assert plain(page)
    assert {"items", "next"} <= set(page)
    assert 1 <= len(page["items"]) <= 50


def test_near_gives_bikes_nearest_first(rpc: Any, add_bike: AddBike, bike: Json) -> None:
    lon, lat = bike["location"]["coordinates"]
    further = add_bike(location={"type": "Point", "coordinates": [lon, lat + 0.001]})
    found = rpc.bike_service.near(lat=lat, lon=lon, radius=500)
    assert plain(found)
    items = found["items"] if isinstance(found, dict) else found
    assert [item["id"] for item in items] == [bike["id"], further["id"]]
    assert items[0]["distance_m"] < items[1]["distance_m"]


def test_an_unknown_bike_or_trip_is_not_found(rpc: Any) -> None:
    with pytest.raises(shared.errors.NotFound):
        rpc.bike_service.get(unknown_id())
    with pytest.raises(shared.errors.NotFound):
        rpc.trip_service.get(unknown_id())


def test_what_the_state_forbids_is_a_conflict(rpc: Any, bike: Json, trip: Json) -> None:
    with pytest.raises(shared.errors.Conflict):
        rpc.bike_service.retire(bike["id"])


def test_a_bad_bike_is_invalid(rpc: Any) -> None:
    with pytest.raises(shared.errors.Invalid):
        rpc.bike_service.add({"name": unique(), "battery_percent": 101})


def test_a_bike_added_over_rpc_is_in_the_api(rpc: Any, operator: Client) -> None:
    added = rpc.bike_service.add({"name": unique("rpc")})
    assert plain(added)
    assert ok(operator.get(f"/v1/bikes/{added['id']}"))["name"] == added["name"]


def test_a_domain_error_leaves_the_connection_usable(rpc: Any, bike: Json) -> None:
    with pytest.raises(shared.errors.NotFound):
        rpc.bike_service.get(unknown_id())
    assert rpc.bike_service.get(bike["id"])["id"] == bike["id"]
