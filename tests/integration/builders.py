"""What the tests of the services are put together from: running services, calls, messages, rows."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache, partial
from typing import Any

from nameko.containers import ServiceContainer, WorkerContext
from nameko.standalone.rpc import ClusterRpcProxy
from nameko.testing.utils import DummyProvider, get_extension
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from bike_service.service import BikeService
from shared.batch import Delivery
from shared.fields import Point, format_time
from shared.positions import FLEET_KEY
from shared.publisher import SharedPublisher
from shared.rpc_proxy import RpcProxy, ServiceProxy
from trip_service import operations
from trip_service.domain import Tariff
from trip_service.repositories import NewTrip, Trips
from trip_service.schemas import show
from trip_service.service import TripService
from trip_service.settings import Settings

Json = dict[str, Any]
ZURICH: Point = (8.54, 47.37)
OPERATOR = {"role": "operator", "sub": "olga"}
ANONYMOUS = {"role": "anonymous"}


def new_id() -> str:
    return str(uuid.uuid4())


def rider(sub: str) -> Json:
    """The viewer that a rider is."""
    return {"role": "rider", "sub": sub}


def point(place: Point) -> Json:
    return {"type": "Point", "coordinates": list(place)}


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


@contextmanager
def running(service: type, amqp_uri: str, **config: Any) -> Iterator[ServiceContainer]:
    """A container of `service` in this process; it ends as by a crash, for an orderly end takes seconds."""
    container = ServiceContainer(service, {"AMQP_URI": amqp_uri, "max_workers": 50, **config})
    container.start()
    try:
        yield container
    finally:
        container.kill()


@contextmanager
def calling(amqp_uri: str) -> Iterator[Any]:
    """Nameko's standalone client of all services."""
    with ClusterRpcProxy({"AMQP_URI": amqp_uri}, timeout=10) as proxy:
        yield proxy


@contextmanager
def bike_service(amqp_uri: str, database_url: str) -> Iterator[Any]:
    """bike_service, running, and its client."""
    with running(BikeService, amqp_uri, DB_URIS={"bike_service:Base": database_url}), calling(amqp_uri) as proxy:
        yield proxy.bike_service


def trip_config(database_url: str) -> Json:
    """Additions to trip_service's configuration; the fare is 1.00 EUR and 0.20 EUR a minute."""
    settings = Settings(
        tariff=Tariff(unlock=Decimal("1.00"), per_minute=Decimal("0.20"), currency="EUR"),
        trip_timeout=timedelta(hours=24),
        position_retention=None,
    )
    return {"DB_URIS": {"trip_service:Base": database_url}, "SETTINGS": settings}


@contextmanager
def trip_service(amqp_uri: str, database_url: str) -> Iterator[Any]:
    """trip_service, running, and its client."""
    with running(TripService, amqp_uri, **trip_config(database_url)), calling(amqp_uri) as proxy:
        yield proxy.trip_service


@contextmanager
def both_services(amqp_uri: str, bike_database_url: str, trip_database_url: str) -> Iterator[Any]:
    """bike_service and trip_service, running, and a client of both."""
    with (
        bike_service(amqp_uri, bike_database_url),
        trip_service(amqp_uri, trip_database_url),
        calling(amqp_uri) as proxy,
    ):
        yield proxy


def proxy_within(container: ServiceContainer) -> ServiceProxy:
    """The remote service as the workers of `container` call it."""
    proxy: ServiceProxy = get_extension(container, RpcProxy).get_dependency(
        WorkerContext(container, None, DummyProvider("test"))
    )
    return proxy


@cache
def engine(database_url: str) -> Engine:
    """One a database, for the tests' own transactions."""
    return create_engine(database_url, pool_size=1, max_overflow=20)


@contextmanager
def transaction(database_url: str) -> Iterator[Session]:
    """One transaction, beside those of the services."""
    with Session(engine(database_url), expire_on_commit=False) as session, session.begin():
        yield session


def query(database_url: str, sql: str, **parameters: Any) -> list[Any]:
    """The rows that `sql` returns, if it returns any; committed."""
    with transaction(database_url) as session:
        result = session.execute(text(sql), parameters)
        # Only a result of a statement with rows has them to fetch.
        return list(result.all()) if getattr(result, "returns_rows", False) else []


def outcomes(calls: list[Any]) -> tuple[list[Any], list[Exception]]:
    """Answers and errors of calls in flight (`call_async`)."""
    answers: list[Any] = []
    errors: list[Exception] = []
    for call in calls:
        try:
            answers.append(call.result())
        except Exception as error:  # the test looks at it
            errors.append(error)
    return answers, errors


def walk(method: Any, **arguments: Any) -> list[Json]:
    """All items of a paged list."""
    items: list[Json] = []
    cursor = None
    while True:
        page = method(cursor=cursor, **arguments)
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            return items


def position(bike_id: str, recorded_at: datetime, place: Point = ZURICH, **more: Any) -> Json:
    """A position as it travels in messages."""
    return {"bike_id": bike_id, "recorded_at": format_time(recorded_at), "location": point(place), **more}


def ride(
    database_url: str,
    bike_id: str | None = None,
    rider_id: str | None = None,
    started_at: datetime | None = None,
    location: Point | None = None,
) -> Json:
    """An active trip put straight into trip_service's database."""
    with transaction(database_url) as session:
        started = started_at or ago(600)
        new = NewTrip(new_id(), bike_id or new_id(), rider_id or new_id(), started, location)
        return show(Trips(session).start([new])[new.trip_id])


def store(database_url: str, *positions: Json) -> None:
    """Take one message of positions, as trip_service does."""
    message = Delivery(json.dumps({"positions": positions}).encode(), FLEET_KEY)
    assert operations.take_positions(partial(transaction, database_url), [message]) == []


def awaited(container: ServiceContainer) -> int:
    """Calls of the container whose reply is waited for."""
    core = get_extension(container, SharedPublisher).core
    assert core is not None
    return core.awaited()
