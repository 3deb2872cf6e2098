"""What the tests of the services are put together from: running services, messages, rows, and what came out."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from kombu import Connection, Exchange, Message, Queue
from nameko.containers import ServiceContainer
from nameko.standalone.rpc import ClusterRpcProxy
from sqlalchemy import create_engine, pool, text
from sqlalchemy.orm import Session

from bike_service.service import BikeService
from shared.fields import Point, format_time
from shared.positions import EXCHANGE, FLEET_KEY
from trip_service.domain import Tariff
from trip_service.service import TripService
from trip_service.settings import Settings

Json = dict[str, Any]
ZURICH: Point = (8.54, 47.37)


def new_id() -> str:
    return str(uuid.uuid4())


def point(place: Point) -> Json:
    return {"type": "Point", "coordinates": list(place)}


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


@contextmanager
def running(service: type, amqp_uri: str, **config: Any) -> Iterator[ServiceContainer]:
    """A container of `service` in this process."""
    container = ServiceContainer(service, {"AMQP_URI": amqp_uri, "max_workers": 50, **config})
    container.start()
    try:
        yield container
    finally:
        container.stop()


@contextmanager
def calling(amqp_uri: str) -> Iterator[Any]:
    """Nameko's standalone client of all services."""
    with ClusterRpcProxy({"AMQP_URI": amqp_uri}, timeout=10) as proxy:
        yield proxy


@contextmanager
def bike_service(amqp_uri: str, database_url: str) -> Iterator[Any]:
    """bike_service, running, and its client."""
    uris = {"bike_service:Base": database_url}
    with running(BikeService, amqp_uri, DB_URIS=uris), calling(amqp_uri) as proxy:
        yield proxy.bike_service


def trip_config(database_url: str, tariff: Tariff, retention: timedelta | None = None) -> Json:
    """Additions to trip_service's configuration."""
    settings = Settings(tariff=tariff, trip_timeout=timedelta(hours=24), position_retention=retention)
    return {"DB_URIS": {"trip_service:Base": database_url}, "SETTINGS": settings}


@contextmanager
def trip_service(amqp_uri: str, config: Json) -> Iterator[Any]:
    """trip_service, running, and its client."""
    with running(TripService, amqp_uri, **config), calling(amqp_uri) as proxy:
        yield proxy.trip_service


@contextmanager
def transaction(database_url: str) -> Iterator[Session]:
    """One transaction on a connection of its own."""
    engine = create_engine(database_url, poolclass=pool.NullPool)
    with Session(engine, expire_on_commit=False) as session, session.begin():
        yield session


def query(database_url: str, sql: str, **parameters: Any) -> list[Any]:
    """The rows that `sql` returns, if it returns any; committed."""
    with transaction(database_url) as session:
        result = session.execute(text(sql), parameters)
        return list(result.all()) if result.returns_rows else []


def outcomes(calls: list[Any]) -> tuple[list[Any], list[Exception]]:
    """Answers and errors of calls in flight (`call_async`)."""
    answers, errors = [], []
    for call in calls:
        try:
            answers.append(call.result())
        except Exception as error:
            errors.append(error)
    return answers, errors


def position(bike_id: str, recorded_at: datetime, place: Point = ZURICH, **more: Any) -> Json:
    return {"bike_id": bike_id, "recorded_at": format_time(recorded_at), "location": point(place), **more}


class Broker:
    """The broker as an outsider uses it: publishes, watches, and looks into queues."""

    def __init__(self, amqp_uri: str) -> None:
        self.connection = Connection(amqp_uri)
        self.channel = self.connection.channel()

    def close(self) -> None:
        self.connection.close()

    def publish(self, exchange: str, routing_key: str, body: bytes, **properties: Any) -> None:
        """Publish bytes that say that they are JSON; persistent."""
        properties = {"content_type": "application/json", "content_encoding": "utf-8", **properties}
        with self.connection.channel() as channel:
            channel.confirm_select() if hasattr(channel, "confirm_select") else None
            message = channel.prepare_message(body, properties={"delivery_mode": 2}, **properties)
            channel.basic_publish(message, exchange=exchange, routing_key=routing_key)
