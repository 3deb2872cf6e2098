"""The HTTP server over real sockets: defects, limits of time, and the drain."""

import socket
import time
from unittest.mock import Mock

import eventlet
import pytest

from shared import http_server, listening
from shared.config import ConfigurationError
from tests.integration.http_toy import HEAD, Client, SampleService, problem
from tests.waiting import eventually


def test_a_defect_is_a_bare_500(connect):
    client = connect().send(HEAD.format("GET /defect") + "\r\n")
    answer = client.answer()
    assert problem(answer)["status"] == 500
    assert b"secret" not in answer[2]
    assert b"Zero" not in answer[2]


def test_a_head_that_does_not_come_to_its_end_is_408(connect, monkeypatch):
    monkeypatch.setattr("shared.http_protocol.HEAD_TIMEOUT_S", 0.1)
    assert problem(connect().send("GET /fast HTTP/1.1\r\nHost:").answer())["status"] == 408


def test_a_body_that_does_not_come_is_408(connect, monkeypatch):
    monkeypatch.setattr("shared.http_input.BODY_TIMEOUT_S", 0.1)
    head = HEAD.format("POST /v1/echo") + "Content-Type: application/json\r\nContent-Length: 10\r\n\r\n"
    answer = connect().send(head + "{").answer()
    assert problem(answer)["status"] == 408
    assert answer[1]["connection"] == "close"


def test_an_unread_body_that_does_not_come_ends_the_connection(connect, monkeypatch):
    monkeypatch.setattr("shared.http_input.BODY_TIMEOUT_S", 0.1)
    client = connect().send(HEAD.format("POST /none") + "Content-Length: 10\r\n\r\n{")
    assert client.answer()[0] == 404
    client.socket.shutdown(socket.SHUT_WR)
    assert client.is_closed()


def test_an_idle_connection_is_closed_in_time(server, connect):
    server._serv.keepalive = 0.1
    assert connect().is_closed()


def test_clients_that_vanish_do_not_end_the_container(container, server, connect):
    for text in (
        "",
        "GET",
        HEAD.format("GET /fast") + "\r\n",
        HEAD.format("POST /v1/echo") + "Content-Length: 9\r\n\r\n",
    ):
        client = connect().send(text)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        client.file.close()
        client.socket.close()
    eventually(lambda: not server._connections)
    assert connect().send(HEAD.format("GET /fast") + "\r\n").answer()[0] == 200
    assert not container._died.ready()


def test_without_a_free_worker_the_answer_is_503_after_a_bounded_wait(connect):
    busy = [connect().send(HEAD.format("GET /slow") + "\r\n") for _ in range(2)]
    answer = connect().send(HEAD.format("GET /fast") + "\r\n").answer()
    assert problem(answer)["status"] == 503
    assert int(answer[1]["retry-after"]) > 0
    SampleService.release.send(None)
    assert [client.answer()[0] for client in busy] == [200, 200]


def test_a_method_that_never_returns_is_given_up(connect, monkeypatch):
    monkeypatch.setattr("shared.http.HANDLER_TIMEOUT_S", 0.1)
    assert problem(connect().send(HEAD.format("GET /slow") + "\r\n").answer())["status"] == 504


def test_stopping_finishes_running_requests_whole_and_closes_idle_connections(container, server, connect):
    idle = connect().send(HEAD.format("GET /fast") + "\r\n")
    idle.answer()
    running = connect().send(HEAD.format("GET /slow") + "\r\n")
    address = server._sock.getsockname()
    eventually(lambda: len(container._worker_threads) == 1)
    stopping = eventlet.spawn(container.stop)
    assert idle.is_closed()
    with pytest.raises(ConnectionRefusedError):
        Client(address)
    SampleService.release.send(None)
    status, headers, body = running.answer()
    assert (status, len(body), headers["connection"]) == (200, 200_000, "close")
    assert running.is_closed()
    stopping.wait()


def test_stopping_waits_no_longer_than_its_limit(container, server, connect, monkeypatch):
    monkeypatch.setattr(http_server, "DRAIN_S", 0.2)
    connect().send(HEAD.format("GET /slow") + "\r\n")
    eventually(lambda: len(container._worker_threads) == 1)
    began = time.monotonic()
    server.drain()
    assert time.monotonic() - began < 2


def test_a_taken_port_is_a_clear_error(server):
    with pytest.raises(ConfigurationError, match=r"Another process may hold it.*GATEWAY_ADDRESS"):
        listening.listen(server._sock.getsockname())


def test_a_connection_just_made_is_served_though_the_server_stops(container, server, connect, monkeypatch):
    close_idle = Mock(side_effect=server._connections.close_idle)
    monkeypatch.setattr(server._connections, "close_idle", close_idle)
    client = connect()
    eventually(lambda: bool(server._connections))
    stopping = eventlet.spawn(container.stop)
    eventually(lambda: close_idle.call_count > 3)
    assert client.send(HEAD.format("GET /fast") + "\r\n").answer()[0] == 200
    assert client.is_closed()
    stopping.wait()
