"""RPC while the broker or the database goes away and comes back."""

import time
from collections.abc import Iterator
from typing import Any

import eventlet
import pytest
from nameko.containers import ServiceContainer
from sqlalchemy import text
from sqlalchemy.orm import DeclarativeBase

from shared.database import Database
from shared.errors import DeadlineExceeded, Unavailable
from shared.rpc import rpc
from shared.rpc_proxy import RpcProxy, ServiceProxy
from tests.conftest import PrivateParts, unique_name
from tests.integration import builders
from tests.integration.conftest import as_sqlalchemy
from tests.integration.tcp_proxy import TcpProxy, in_front_of
from tests.waiting import eventually

began: list[int] = []


class Base(DeclarativeBase):
    pass


class Callee:
    name = "callee"
    db = Database(Base)

    @rpc
    def add_one(self, number: int) -> int:
        return number + 1

    @rpc
    def hold(self, seconds: float) -> str:
        began.append(1)
        eventlet.sleep(seconds)
        return "done"

    @rpc
    def query(self) -> int:
        with self.db.get_session() as session:
            return int(session.execute(text("SELECT 1")).scalar_one())

    @rpc
    def query_twice(self, between: float) -> int:
        with self.db.get_session() as session:
            session.execute(text("SELECT 1"))
            began.append(1)
            eventlet.sleep(between)
            return int(session.execute(text("SELECT 1")).scalar_one())


class Caller:
    name = "caller"
    callee = RpcProxy("callee", timeout=5)


@pytest.fixture(scope="module")
def database(private_parts: PrivateParts) -> Iterator[tuple[TcpProxy, str]]:
    url = as_sqlalchemy(private_parts.postgres.create_database(unique_name("outages")))
    with in_front_of(url) as both:
        yield both


@pytest.fixture(scope="module")
def callee_link(amqp_uri: str, database: tuple[TcpProxy, str]) -> Iterator[tuple[TcpProxy, ServiceContainer]]:
    """The callee, and the proxy between it and the broker."""
    with (
        in_front_of(amqp_uri) as (proxy, uri),
        builders.running(Callee, uri, DB_URIS={"callee:Base": database[1]}) as container,
    ):
        yield proxy, container


@pytest.fixture(scope="module")
def caller_link(amqp_uri: str) -> Iterator[tuple[TcpProxy, ServiceContainer]]:
    """The caller, and the proxy between it and the broker."""
    with in_front_of(amqp_uri) as (proxy, uri), builders.running(Caller, uri) as container:
        yield proxy, container


@pytest.fixture
def callee(
    callee_link: tuple[TcpProxy, ServiceContainer], caller_link: tuple[TcpProxy, ServiceContainer]
) -> Iterator[ServiceProxy]:
    """The callee as the caller sees it; both are alive afterwards, and nothing is waiting."""
    began.clear()
    yield builders.proxy_within(caller_link[1])
    for _, container in (callee_link, caller_link):
        assert not container._died.ready()
    assert builders.awaited(caller_link[1]) == 0


def outcome(call: Any, *arguments: Any) -> tuple[Any, float]:
    """What a call ended in, result or exception, and after how many seconds."""
    start = time.monotonic()
    try:
        answer = call(*arguments)
    except Exception as error:  # the test looks at it
        answer = error
    return answer, time.monotonic() - start


def works_again(callee: ServiceProxy) -> None:
    eventually(lambda: outcome(callee.with_timeout(1).add_one, 1)[0] == 2, timeout=8)


def test_a_database_that_refuses_is_unavailable_until_it_is_back(
    callee: ServiceProxy, database: tuple[TcpProxy, str]
) -> None:
    assert callee.query() == 1
    database[0].refuse()
    answer, seconds = outcome(callee.query)
    assert isinstance(answer, Unavailable)
    assert answer.detail == "The database is away."
    assert answer.retry_after == 2
    assert seconds < 2
    assert callee.add_one(1) == 2
    database[0].restore()
    assert callee.query() == 1


def test_a_database_connection_lost_inside_a_transaction_is_unavailable(
    callee: ServiceProxy, database: tuple[TcpProxy, str]
) -> None:
    call = eventlet.spawn(outcome, callee.query_twice, 0.1)
    eventually(lambda: began)
    database[0].cut()
    assert isinstance(call.wait()[0], Unavailable)
    assert callee.query() == 1


def test_connections_that_died_in_the_pool_cost_no_call(callee: ServiceProxy, database: tuple[TcpProxy, str]) -> None:
    assert callee.query() == 1
    database[0].cut()
    assert callee.query() == 1


def test_a_silent_database_costs_its_callers_their_time_limit_and_no_more(
    callee: ServiceProxy, database: tuple[TcpProxy, str]
) -> None:
    assert callee.query() == 1
    database[0].pause()
    answer, seconds = outcome(callee.with_timeout(0.5).query)
    assert isinstance(answer, DeadlineExceeded)
    assert seconds < 4
    assert callee.add_one(1) == 2
    database[0].restore()
    assert callee.query() == 1


def test_a_new_connection_to_a_silent_database_is_given_up(
    callee: ServiceProxy, database: tuple[TcpProxy, str]
) -> None:
    database[0].refuse()
    assert isinstance(outcome(callee.query)[0], Unavailable)
    database[0].restore()
    database[0].pause()
    try:
        answer, seconds = outcome(callee.with_timeout(20).query)
        assert isinstance(answer, Unavailable)
        assert seconds < 5
    finally:
        database[0].restore()
    assert callee.query() == 1


def test_a_callee_that_loses_the_broker_during_a_call_answers_all_the_same_or_its_caller_stops_waiting(
    callee: ServiceProxy, callee_link: tuple[TcpProxy, ServiceContainer]
) -> None:
    call = eventlet.spawn(outcome, callee.with_timeout(3).hold, 0.2)
    eventually(lambda: began)
    callee_link[0].cut()
    answer, seconds = call.wait()
    assert answer == "done" or isinstance(answer, DeadlineExceeded | Unavailable)
    assert seconds < 3.5
    works_again(callee)


def test_a_caller_that_loses_the_broker_during_a_call_stops_waiting_in_time(
    callee: ServiceProxy, caller_link: tuple[TcpProxy, ServiceContainer]
) -> None:
    call = eventlet.spawn(outcome, callee.with_timeout(3).hold, 0.2)
    eventually(lambda: began)
    caller_link[0].cut()
    answer, seconds = call.wait()
    assert answer == "done" or isinstance(answer, DeadlineExceeded | Unavailable)
    assert seconds < 3.5
    works_again(callee)


def test_while_the_broker_refuses_the_caller_calls_are_unavailable_soon(
    callee: ServiceProxy, caller_link: tuple[TcpProxy, ServiceContainer]
) -> None:
    caller_link[0].refuse()
    answers = [outcome(callee.with_timeout(20).add_one, 1) for _ in range(2)]
    caller_link[0].restore()
    assert {type(answer) for answer, _ in answers} == {Unavailable}
    assert max(seconds for _, seconds in answers) < 4
    works_again(callee)


def test_while_the_broker_refuses_the_callee_calls_are_unavailable_at_once(
    callee: ServiceProxy, callee_link: tuple[TcpProxy, ServiceContainer]
) -> None:
    callee_link[0].refuse()
    # Its queue goes with its connection, once the broker has noticed.
    eventually(lambda: isinstance(outcome(callee.with_timeout(0.5).add_one, 1)[0], Unavailable))
    answer, seconds = outcome(callee.add_one, 1)
    assert isinstance(answer, Unavailable)
    assert seconds < 4
    callee_link[0].restore()
    works_again(callee)


def test_many_calls_across_lost_connections_all_end(
    callee: ServiceProxy,
    caller_link: tuple[TcpProxy, ServiceContainer],
    callee_link: tuple[TcpProxy, ServiceContainer],
) -> None:
    calls = []
    for link in (caller_link, callee_link, caller_link):
        calls += [eventlet.spawn(outcome, callee.with_timeout(2).hold, 0.05) for _ in range(20)]
        eventlet.sleep(0)
        link[0].cut()
    outcomes = [call.wait() for call in calls]
    assert {type(answer) for answer, _ in outcomes} <= {str, Unavailable, DeadlineExceeded}
    assert max(seconds for _, seconds in outcomes) < 3
    works_again(callee)
