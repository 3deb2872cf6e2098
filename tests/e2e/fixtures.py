"""Fixtures of the black-box tests. All stand on `stack`, which conftest.py provides."""

import random
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.register_assert_rewrite("tests.e2e.client", "tests.e2e.broker")

from tests.e2e.broker import Broker  # noqa: E402
from tests.e2e.client import Api, Client, Json, Stack, ok, unique  # noqa: E402
from tests.e2e.geo import far_away, point  # noqa: E402

__all__ = [
    "add_bike",
    "add_bikes",
    "anonymous",
    "api",
    "bike",
    "broker",
    "operator",
    "other_rider",
    "rider",
    "seeded",
    "start_trip",
    "trip",
    "vehicle",
]


@pytest.fixture(scope="session")
def api(stack: Stack) -> Api:
    return Api(stack)


@pytest.fixture(scope="session")
def broker(stack: Stack) -> Broker:
    return Broker(stack.amqp_uri)


@pytest.fixture(scope="session")
def anonymous(api: Api) -> Client:
    return api.anonymous


@pytest.fixture
def operator(api: Api) -> Client:
    return api.operator()


@pytest.fixture
def rider(api: Api) -> Client:
    return api.rider()


@pytest.fixture
def other_rider(api: Api) -> Client:
    return api.rider()


@pytest.fixture
def vehicle(api: Api, bike: Json) -> Client:
    """The vehicle that `bike` is."""
    return api.vehicle(bike["id"])


@pytest.fixture
def seeded(request: pytest.FixtureRequest) -> random.Random:
    """The same numbers in every run of a test."""
    return random.Random(request.node.name)


@pytest.fixture
def add_bike(operator: Client) -> Callable[..., Json]:
    """Adds a bike with a name of its own, somewhere far away unless a location is given."""

    def add(**fields: Any) -> Json:
        return ok(operator.post("/v1/bikes", {"name": unique("bike"), "location": point(far_away()), **fields}), 201)

    return add


@pytest.fixture
def add_bikes(operator: Client) -> Iterator[Callable[[list[Any]], list[Json]]]:
    """Adds a bike at each place, in this order; retires them afterwards, so that crowded places stay empty."""
    added: list[Json] = []

    def add(places: list[Any]) -> list[Json]:
        bikes = [{"name": unique("bike"), "location": point(place)} for place in places]
        items: list[Json] = ok(operator.post("/v1/bikes/batch", {"bikes": bikes}), 201)["items"]
        added.extend(items)
        by_name = {item["name"]: item for item in items}
        return [by_name[bike["name"]] for bike in bikes]

    yield add
    for item in added:
        operator.delete(f"/v1/bikes/{item['id']}")


@pytest.fixture
def bike(add_bike: Callable[..., Json]) -> Json:
    return add_bike()


@pytest.fixture
def start_trip() -> Callable[[Client, Json], Json]:
    def start(rider: Client, bike: Json) -> Json:
        return ok(rider.post("/v1/trips", {"bike_id": bike["id"]}), 201)

    return start


@pytest.fixture
def trip(rider: Client, bike: Json, start_trip: Callable[[Client, Json], Json]) -> Json:
    """An active trip of `rider` on `bike`."""
    started = start_trip(rider, bike)
    assert uuid.UUID(started["id"])
    return started
