"""trip_service starting and ending trips while bike_service is wrong, slow or away, or its own database refuses."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
from eventlet.event import Event
from nameko.containers import ServiceContainer
from nameko.exceptions import RemoteError
from nameko.testing.utils import get_extension

from shared.errors import Conflict, DeadlineExceeded, Unavailable
from shared.rpc_batch import rpc_many
from shared.rpc_proxy import RpcProxy
from tests.integration import builders
from tests.integration.builders import Json, new_id, outcomes, query
from tests.waiting import eventually
from trip_service.service import TripService


class YesBikeService:
    """A bike_service that wrongly gives every bike to everybody."""

    name = "bike_service"
    checked_in: ClassVar[list[str]] = []

    @rpc_many
    def check_out_many(self, calls: list[Json]) -> list[Json]:
        return [{"id": call["bike_id"], "location": None} for call in calls]

    @rpc_many
    def check_in_many(self, calls: list[Json]) -> list[Json]:
        self.checked_in.extend(call["trip_id"] for call in calls)
        return [{"released": True} for _ in calls]


class SlowBikeService:
    """A bike_service that answers when it is let."""

    name = "bike_service"
    let: ClassVar[Event]

    @rpc_many
    def check_out_many(self, calls: list[Json]) -> list[Json]:
        self.let.wait()
        return [{"id": call["bike_id"], "location": None} for call in calls]


class BrokenBikeService:
    """A bike_service whose database is away."""

    name = "bike_service"

    @rpc_many
    def check_out_many(self, calls: list[Json]) -> list[Json]:
        raise Unavailable("The database is away.", {"retry_after": 2})


@pytest.fixture(scope="module")
def container(amqp_uri: str, trip_database_url: str) -> Iterator[ServiceContainer]:
    with builders.running(TripService, amqp_uri, **builders.trip_config(trip_database_url)) as running:
        yield running


@pytest.fixture(scope="module")
def trips(amqp_uri: str, container: ServiceContainer) -> Iterator[Any]:
    with builders.calling(amqp_uri) as proxy:
        yield proxy.trip_service


@pytest.fixture
def riders_trips(trips: Any) -> Any:
    return lambda rider_id: trips.list(rider_id=rider_id)["items"]


@contextmanager
def refused_inserts(url: str) -> Iterator[None]:
    """While it lasts, the database refuses every new trip."""
    query(
        url,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no more trips'; END $$",
    )
    query(url, "CREATE TRIGGER refuse BEFORE INSERT ON trips FOR EACH ROW EXECUTE FUNCTION refuse()")
    try:
        yield
    finally:
        query(url, "DROP FUNCTION refuse CASCADE")


def test_one_bike_is_in_one_trip_even_if_bike_service_gives_it_to_all(amqp_uri: str, trips: Any) -> None:
    bike_id = new_id()
    with builders.running(YesBikeService, amqp_uri):
        ids = [new_id() for _ in range(20)]
        calls = [trips.start.call_async(bike_id, f"rider {trip_id}", trip_id=trip_id) for trip_id in ids]
        answers, errors = outcomes(calls)
    assert len(answers) == 1
    assert {type(error) for error in errors} == {Conflict}
    assert [trip["id"] for trip in trips.list(bike_id=bike_id)["items"]] == [answers[0]["id"]]
    # Each loser gives back what it was given.
    assert set(ids) & set(YesBikeService.checked_in) == set(ids) - {answers[0]["id"]}


def test_one_rider_has_one_trip_even_if_bike_service_gives_out_all_bikes(
    amqp_uri: str, trips: Any, riders_trips: Any
) -> None:
    rider_id = new_id()
    with builders.running(YesBikeService, amqp_uri):
        answers, errors = outcomes([trips.start.call_async(new_id(), rider_id) for _ in range(20)])
    assert len(answers) == 1
    assert {(type(error), str(error)) for error in errors} == {(Conflict, "The rider has an active trip.")}
    assert [trip["id"] for trip in riders_trips(rider_id)] == [answers[0]["id"]]


def test_a_trip_that_cannot_be_stored_leaves_its_bike_free(
    amqp_uri: str, bike_database_url: str, trip_database_url: str, trips: Any, riders_trips: Any
) -> None:
    rider_id, key, trip_id = new_id(), new_id(), new_id()
    with builders.bike_service(amqp_uri, bike_database_url) as bikes:
        bike_id = bikes.add()["id"]
        with refused_inserts(trip_database_url), pytest.raises(RemoteError):
            trips.start(bike_id, rider_id, trip_id=trip_id, idempotency_key=key)
        assert bikes.get(bike_id)["status"] == "available"
        assert riders_trips(rider_id) == []
        # Nothing was kept under the key, so it starts the same trip now.
        trip = trips.start(bike_id, rider_id, trip_id=new_id(), idempotency_key=key)
        assert (trip["id"], trip["replayed"]) == (trip_id, False)


def test_while_bike_service_is_away_a_start_is_unavailable_and_can_be_tried_again(
    amqp_uri: str, bike_database_url: str, trips: Any, riders_trips: Any
) -> None:
    rider_id, key, trip_id = new_id(), new_id(), new_id()
    with builders.bike_service(amqp_uri, bike_database_url) as bikes:
        bike_id = bikes.add()["id"]
    began = time.monotonic()
    for offered_id in (trip_id, new_id()):
        with pytest.raises(Unavailable) as refused:
            trips.start(bike_id, rider_id, trip_id=offered_id, idempotency_key=key)
        assert refused.value.retry_after
    assert time.monotonic() - began < 2
    assert riders_trips(rider_id) == []
    with builders.bike_service(amqp_uri, bike_database_url):
        trip = trips.start(bike_id, rider_id, trip_id=new_id(), idempotency_key=key)
    assert (trip["id"], trip["replayed"]) == (trip_id, False)


def test_an_outage_behind_bike_service_is_passed_on_as_one(amqp_uri: str, trips: Any, riders_trips: Any) -> None:
    rider_id, key, bike_id = new_id(), new_id(), new_id()
    with builders.running(BrokenBikeService, amqp_uri), pytest.raises(Unavailable):
        trips.start(bike_id, rider_id, idempotency_key=key)
    with builders.running(YesBikeService, amqp_uri):
        assert trips.start(bike_id, rider_id, idempotency_key=key)["replayed"] is False


def test_a_slow_bike_service_costs_no_more_than_the_limit(
    amqp_uri: str, container: ServiceContainer, trips: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(get_extension(container, RpcProxy), "timeout", 0.5)
    rider_id, key, bike_id, trip_id = new_id(), new_id(), new_id(), new_id()
    SlowBikeService.let = Event()
    with builders.running(SlowBikeService, amqp_uri):
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            trips.start(bike_id, rider_id, trip_id=trip_id, idempotency_key=key)
        assert 0.4 < time.monotonic() - began < 1.5
        SlowBikeService.let.send(None)
        # The lease ended with the attempt.
        trip = trips.start(bike_id, rider_id, trip_id=new_id(), idempotency_key=key)
    assert (trip["id"], trip["replayed"]) == (trip_id, False)


@pytest.mark.parametrize("method", ["end", "cancel"])
def test_a_trip_ends_without_bike_service_and_its_event_frees_the_bike_later(
    amqp_uri: str, bike_database_url: str, trips: Any, method: str
) -> None:
    with builders.bike_service(amqp_uri, bike_database_url) as bikes:
        bike_id = bikes.add()["id"]
        trip = trips.start(bike_id, new_id())
    assert getattr(trips, method)(trip["id"])["ended_at"] is not None
    with builders.bike_service(amqp_uri, bike_database_url) as bikes:
        eventually(lambda: bikes.get(bike_id)["status"] == "available")
