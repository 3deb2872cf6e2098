"""Which connection makes way when there is no room for another, and what it costs to find it."""

import time
from collections.abc import Callable, Iterator
from unittest.mock import Mock

import pytest
from eventlet import wsgi
from eventlet.green import socket

from shared import http_connections
from shared.http_connections import GRACE_S, PATIENCE_S, Connection, Connections

LONG_S = 10 * (GRACE_S + PATIENCE_S)


@pytest.fixture
def connections() -> Connections:
    return Connections()


@pytest.fixture
def connect(connections: Connections) -> Iterator[Callable[..., tuple[Connection, socket.socket]]]:
    """Opens one that was made `LONG_S` ago and is idle since; it and its client's end."""
    ends: list[socket.socket] = []

    def connect(idle_s: float = LONG_S) -> tuple[Connection, socket.socket]:
        ours, theirs = socket.socketpair()
        ends.extend((ours, theirs))
        connection = connections.add("client", ours)
        connection.opened_at = time.monotonic() - LONG_S
        connection.idle_since = time.monotonic() - idle_s
        return connection, theirs

    yield connect
    for end in ends:
        end.close()


def await_since(connection: Connection, seconds: float) -> None:
    connection[2] = wsgi.STATE_REQUEST
    connection.awaited_since = time.monotonic() - seconds


def closed(connections: Connections) -> list[Connection]:
    return [each for each in connections._open.values() if each[2] == wsgi.STATE_CLOSE]


def test_the_one_idle_longest_makes_way_before_the_slow(connections, connect):
    (slow, _), (younger, _), (longest, _) = connect(), connect(GRACE_S + 1), connect(GRACE_S + 2)
    await_since(slow, LONG_S)
    for expected in ([longest], [younger, longest], [slow, younger, longest]):
        connections.close_one()
        assert closed(connections) == expected


def test_one_whose_next_request_has_come_is_passed_over(connections, connect):
    (busy, client), (other, _) = connect(LONG_S), connect(GRACE_S + 1)
    client.sendall(b"GET")
    for _ in range(2):
        connections.close_one()
        assert closed(connections) == [other]
    assert busy.is_idle is False


def test_the_slowest_makes_way_before_one_that_was_busy_just_now(connections, connect):
    (busy, _), (slow, _), (slowest, _) = connect(0), connect(), connect()
    await_since(slow, PATIENCE_S + 1)
    await_since(slowest, PATIENCE_S + 2)
    for expected in ([slowest], [slow, slowest], [busy, slow, slowest]):
        connections.close_one()
        assert closed(connections) == expected


def test_nobody_makes_way_who_is_new_or_whose_request_is_on_its_way(connections, connect):
    (new, _), (sending, _), (served, _) = connect(0), connect(), connect()
    new.opened_at = time.monotonic()
    await_since(sending, PATIENCE_S / 2)
    served[2] = wsgi.STATE_REQUEST
    connections.close_one()
    assert closed(connections) == []


def test_among_many_only_one_is_asked_whether_it_has_input(connections, connect, monkeypatch):
    asked = Mock(side_effect=http_connections.has_input)
    monkeypatch.setattr(http_connections, "has_input", asked)
    for _ in range(200):
        connect()
    for closings in range(1, 4):
        connections.close_one()
        assert asked.call_count == closings
        assert len(closed(connections)) == closings
