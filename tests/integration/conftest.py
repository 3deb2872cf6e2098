"""A vhost and two migrated databases for each module, and containers that run in this process."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from nameko.containers import ServiceContainer
from nameko.standalone.rpc import ClusterRpcProxy

from shared import config, migrate
from tests.conftest import PrivateParts, unique_name
from tests.integration.http_toy import *  # noqa: F403 - pytest finds fixtures by name in a conftest
from trip_service.domain import Tariff
from trip_service.settings import Settings

TARIFF = Tariff(unlock=Decimal("1.00"), per_minute=Decimal("0.20"), currency="EUR")


@pytest.fixture(scope="module")
def amqp_uri(private_parts: PrivateParts) -> Iterator[str]:
    """A broker of this module's own: a fresh vhost."""
    name = unique_name("integration")
    yield private_parts.rabbitmq.add_vhost(name)
    private_parts.rabbitmq.delete_vhost(name)


def as_sqlalchemy(url: str) -> str:
    """A libpq style URL as the services read it from their environment."""
    return config.database_url({"URL": url}, "URL")


@pytest.fixture(scope="module")
def bike_database_url(private_parts: PrivateParts) -> str:
    """bike_service's database, migrated."""
    url = as_sqlalchemy(private_parts.postgres.create_database(unique_name("bikes")))
    migrate.upgrade("bike_service", url)
    return url


@pytest.fixture(scope="module")
def trip_database_url(private_parts: PrivateParts) -> str:
    """trip_service's database, migrated."""
    url = as_sqlalchemy(private_parts.postgres.create_database(unique_name("trips")))
    migrate.upgrade("trip_service", url)
    return url


@pytest.fixture
def run_container(amqp_uri: str) -> Iterator[Callable[..., ServiceContainer]]:
    """Starts a container of a service class with additions to its configuration; all are stopped at the end."""
    running: list[ServiceContainer] = []

    def run(service_cls: type, **config: Any) -> ServiceContainer:
        container = ServiceContainer(service_cls, {"AMQP_URI": amqp_uri, "max_workers": 50, **config})
        container.start()
        running.append(container)
        return container

    yield run
    for container in running:
        container.stop()


@pytest.fixture
def bike_config(bike_database_url: str) -> dict[str, Any]:
    """What bike_service needs beside the broker."""
    return {"DB_URIS": {"bike_service:Base": bike_database_url}}


@pytest.fixture
def trip_config(trip_database_url: str) -> dict[str, Any]:
    """What trip_service needs beside the broker."""
    settings = Settings(tariff=TARIFF, trip_timeout=timedelta(hours=24), position_retention=None)
    return {"DB_URIS": {"trip_service:Base": trip_database_url}, "SETTINGS": settings}


@pytest.fixture
def rpc(amqp_uri: str) -> Iterator[Any]:
    """Nameko's own standalone client."""
    with ClusterRpcProxy({"AMQP_URI": amqp_uri}, timeout=10) as proxy:
        yield proxy
