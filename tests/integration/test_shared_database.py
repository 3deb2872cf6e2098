"""The database as a service uses it: nothing is waited for without a limit."""

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import Mock

import eventlet
import pytest
import sqlalchemy.exc
from nameko.containers import ServiceContainer
from sqlalchemy import TextClause, text
from sqlalchemy.engine import Connection, Engine

from bike_service.service import BikeService
from shared import green_postgres, pool_sizes
from shared.database import DB_URIS, SideEngine, make_engine
from shared.green_postgres import LimitedConnection
from shared.health import CHECK_TIMEOUT_S
from shared.outage import is_outage
from tests.conftest import PrivateParts
from tests.integration.tcp_proxy import in_front_of
from tests.waiting import eventually


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    green_postgres.install()
    monkeypatch.setattr(LimitedConnection, "silence_limit_s", 0.5)


@pytest.mark.usefixtures("limit")
def test_a_database_that_falls_silent_is_an_outage_and_not_a_wait(private_parts: PrivateParts) -> None:
    with in_front_of(private_parts.postgres.admin_url) as (proxy, url):
        engine = make_engine(url.replace("postgresql://", "postgresql+psycopg2://"), "test")
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT 1")) == 1
            proxy.pause()
            with eventlet.Timeout(10), pytest.raises(sqlalchemy.exc.OperationalError) as caught:
                connection.scalar(text("SELECT 2"))
        assert is_outage(caught.value)
        proxy.restore()
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT 3")) == 3
        engine.dispose()


def test_two_slow_figures_do_not_make_the_health_check_wait(private_parts: PrivateParts) -> None:
    url = private_parts.postgres.admin_url.replace("postgresql://", "postgresql+psycopg2://")
    container = Mock(service_name="test", shared_extensions={}, config={DB_URIS: {"test:Base": url}})
    side = SideEngine().bind(container)
    side.setup()
    assert side.engine is not None
    with side.engine.connect() as outbox, side.engine.connect() as census:
        outbox.execute(text("SELECT 1"))
        census.execute(text("SELECT 1"))
        with eventlet.Timeout(CHECK_TIMEOUT_S):
            side.check()
    side.stop()


def test_a_process_takes_no_more_connections_than_its_database_is_told(
    run_container: Callable[..., ServiceContainer], bike_config: dict[str, Any]
) -> None:
    container = run_container(BikeService, **bike_config)
    held = {value for each in container.extensions for value in vars(each).values() if isinstance(value, Engine)}
    pools: list[Any] = [engine.pool for engine in held]
    assert sorted(pool.size() + pool._max_overflow for pool in pools) == [3, 3, 30]
    assert pool_sizes.CONNECTIONS_PER_PROCESS == 36


@pytest.mark.usefixtures("limit")
def test_other_work_goes_on_while_a_query_runs(private_parts: PrivateParts) -> None:
    engine = make_engine(private_parts.postgres.admin_url.replace("postgresql://", "postgresql+psycopg2://"), "test")

    def sleep() -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_sleep(0.3)"))

    sleeper, ticks = eventlet.spawn(sleep), 0
    while not sleeper.dead:
        eventlet.sleep(0.01)
        ticks += 1
    sleeper.wait()
    engine.dispose()
    assert ticks > 5


def test_a_half_open_pooled_connection_is_replaced_before_a_caller_gives_up(
    private_parts: PrivateParts,
) -> None:
    green_postgres.install()
    with in_front_of(private_parts.postgres.admin_url) as (proxy, url):
        engine = make_engine(url.replace("postgresql://", "postgresql+psycopg2://"), "test")
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT 1")) == 1
        proxy.forsake()
        with eventlet.Timeout(5), engine.connect() as connection:
            assert connection.scalar(text("SELECT 2")) == 2
        engine.dispose()


def test_a_lock_goes_with_the_process_that_the_network_has_lost(private_parts: PrivateParts) -> None:
    green_postgres.install()
    own = private_parts.postgres.admin_url.replace("postgresql://", "postgresql+psycopg2://")
    lock = text("SELECT pg_advisory_xact_lock(4711)")
    with in_front_of(private_parts.postgres.admin_url) as (proxy, url):
        engine, other = (
            make_engine(url.replace("postgresql://", "postgresql+psycopg2://"), "test"),
            make_engine(own, "test"),
        )
        connection = engine.connect()
        connection.execute(lock)
        proxy.forsake()
        with eventlet.Timeout(20), other.connect() as waiting:
            # Its own limit is lock_timeout, which is as long.
            eventually(partial(_locks, waiting, lock), 20)
        connection.invalidate()
        engine.dispose()
        other.dispose()


def _locks(connection: Connection, lock: TextClause) -> bool:
    try:
        connection.execute(lock)
    except sqlalchemy.exc.OperationalError:
        connection.rollback()
        return False
    return True
