"""The HTTP server over real sockets: who makes way when there is no more room, and who does not take an answer."""

import errno

import eventlet
import pytest

from tests.integration.http_toy import HEAD, Client, SampleService
from tests.waiting import eventually


def test_a_connection_beyond_the_limit_takes_the_place_of_an_idle_one(server, connect):
    server._connections.room = eventlet.Semaphore(2)
    idle = [connect().send(HEAD.format("GET /fast") + "\r\n") for _ in range(2)]
    assert [client.answer()[0] for client in idle] == [200, 200]
    assert connect().send(HEAD.format("GET /fast") + "\r\n").answer()[0] == 200


@pytest.mark.parametrize(
    "begun",
    [
        "GET /fast HTT",
        HEAD.format("POST /v1/echo") + "Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
        HEAD.format("POST /none") + "Content-Length: 9\r\n\r\n{",
    ],
    ids=["head", "body", "body that nobody wants"],
)
def test_a_connection_beyond_the_limit_takes_the_place_of_a_slow_one(server, connect, monkeypatch, begun):
    monkeypatch.setattr("shared.http_connections.PATIENCE_S", 0.1)
    server._connections.room = eventlet.Semaphore(2)
    slow = [connect().send(begun) for _ in range(2)]
    eventually(lambda: len(server._connections) == 2)
    first = next(iter(server._connections._open.values()))
    assert connect().send(HEAD.format("GET /fast") + "\r\n").answer()[0] == 200
    slow[0].file.read()  # to the end, which comes
    assert first[1].fileno() == -1, "its file is still open"


def does_not_read(server, connect) -> list[Client]:
    """Two clients whose answers are there, and are not taken."""
    deaf = [connect(receive_buffer=2048).send(HEAD.format("GET /large") + "\r\n") for _ in range(2)]
    eventually(lambda: sum(c.answered_since is not None for c in server._connections._open.values()) == 2)
    return deaf


def test_a_connection_beyond_the_limit_takes_the_place_of_one_that_does_not_read(server, connect, monkeypatch):
    monkeypatch.setattr("shared.http_connections.PATIENCE_S", 0.1)
    server._connections.room = eventlet.Semaphore(2)
    deaf = does_not_read(server, connect)
    assert connect().send(HEAD.format("GET /fast") + "\r\n").answer()[0] == 200
    assert len(deaf[0].answer()[2]) < 20_000_000


def test_an_answer_that_is_not_taken_in_time_ends_its_connection(server, connect, monkeypatch):
    monkeypatch.setattr("shared.http_connections.ANSWER_TIMEOUT_S", 0.1)
    deaf = does_not_read(server, connect)
    sockets = [each[1] for each in server._connections._open.values()]
    eventually(lambda: not server._connections)
    assert [each.fileno() for each in sockets] == [-1, -1]
    # A reset: what was left of the answers is no longer anywhere.
    assert [client.error() for client in deaf] == [errno.ECONNRESET] * 2


def test_an_answer_that_is_taken_leaves_no_limit_behind(server, connect, monkeypatch):
    monkeypatch.setattr("shared.http_connections.ANSWER_TIMEOUT_S", 0.2)
    client = connect()
    for _ in range(2):
        assert client.send(HEAD.format("GET /fast") + "\r\n").answer()[0] == 200
        eventually(lambda: all(c._answer_limit is None for c in server._connections._open.values()))
    assert len(server._connections) == 1


def test_the_connection_idle_longest_makes_way_though_it_is_not_the_oldest(server, connect, monkeypatch):
    monkeypatch.setattr("shared.http_connections.GRACE_S", 0.1)
    server._connections.room = eventlet.Semaphore(2)
    oldest, younger = connect(), connect()
    for client in (younger, oldest):
        assert client.send(HEAD.format("GET /fast") + "\r\n").answer()[0] == 200
    assert connect().send(HEAD.format("GET /fast") + "\r\n").answer()[0] == 200
    assert younger.is_closed()
    assert oldest.send(HEAD.format("GET /fast") + "\r\n").answer()[0] == 200


def test_the_connections_of_busy_clients_make_way_when_nobody_is_idle_for_long(server, connect, monkeypatch):
    monkeypatch.setattr("shared.http_connections.GRACE_S", 0.2)
    server._connections.room = eventlet.Semaphore(1)
    busy = connect()

    def talk() -> None:
        while True:
            busy.send(HEAD.format("GET /fast") + "\r\n").answer()
            eventlet.sleep(0.02)

    talking = eventlet.spawn(talk)
    assert connect().send(HEAD.format("GET /fast") + "\r\n").answer()[0] == 200
    with pytest.raises((EOFError, OSError)):
        talking.wait()


def test_a_connection_that_becomes_idle_makes_way_for_one_that_waits_already(server, connect):
    server._connections.room = eventlet.Semaphore(1)
    busy = connect().send(HEAD.format("GET /slow") + "\r\n")
    eventually(lambda: len(server.container._worker_threads) == 1)
    waiting = connect().send(HEAD.format("GET /fast") + "\r\n")
    SampleService.release.send(None)
    assert busy.answer()[0] == 200
    assert waiting.answer()[0] == 200
