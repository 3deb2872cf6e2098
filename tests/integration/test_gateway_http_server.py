"""The HTTP server over real sockets: framing, malformed requests, bounds, and the drain. No broker is needed."""

import errno
import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import eventlet
import pytest
from marshmallow import fields
from nameko.containers import ServiceContainer

from shared import http_server, listening
from shared.config import ConfigurationError
from shared.http import Answer, Call, http
from shared.http_policy import HttpPolicy
from shared.validation import StrictSchema

HEAD = "{} HTTP/1.1\r\nHost: test\r\n"


class EchoSchema(StrictSchema):
    text = fields.String(required=True)


class SampleService:
    name = "sample_service"
    release: Any = None

    @http("GET", "/fast", summary="Answers at once", worker_wait_s=0.1)
    def fast(self, call: Call):
        return {"request_id": call.request_id}

    @http("GET", "/slow", summary="Answers when it is let")
    def slow(self, call: Call):
        SampleService.release.wait()
        return Answer("x" * 200_000, media_type="text/plain")

    @http("GET", "/large", summary="Answers with more than sockets hold")
    def large(self, call: Call):
        return Answer("x" * 20_000_000, media_type="text/plain")

    @http("GET", "/defect", summary="Fails")
    def defect(self, call: Call):
        raise ZeroDivisionError("a secret")

    @http("POST", "/v1/echo", summary="Says it again", body=EchoSchema(), body_limit=1000)
    def echo(self, call: Call):
        return call.body


class Client:
    """A connection on which bytes are written and answers read."""

    def __init__(self, address: tuple[str, int], receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(10)
        self.socket.connect(address)
        self.file = self.socket.makefile("rb")

    def send(self, text: str | bytes) -> "Client":
        self.socket.sendall(text if isinstance(text, bytes) else text.encode("latin-1"))
        return self

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        line = self.file.readline()
        if not line:
            raise EOFError
        status = int(line.split()[1])
        headers = {}
        while (line := self.file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = self.file.read(int(headers["content-length"])) if "content-length" in headers else b""
        return status, headers, body

    def error(self) -> int:
        """What ended the connection, 0 for nothing or an orderly end."""
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def is_closed(self) -> bool:
        return self.file.read(1) == b""


def wait_until(condition: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        eventlet.sleep(0.01)


@pytest.fixture
def container() -> Iterator[ServiceContainer]:
    SampleService.release = eventlet.Event()
    config = {"WEB_SERVER_ADDRESS": "127.0.0.1:0", "HTTP_POLICY": HttpPolicy(), "max_workers": 2, "AMQP_URI": ""}
    container = ServiceContainer(SampleService, config)
    container.start()
    yield container
    if not SampleService.release.ready():
        SampleService.release.send(None)
    container.stop()


@pytest.fixture
def server(container):
    return next(iter(container.entrypoints)).server


@pytest.fixture
def connect(server) -> Callable[..., Client]:
    return lambda **options: Client(server._sock.getsockname(), **options)


def problem(answer) -> dict:
    status, headers, body = answer
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-request-id"]
    document = json.loads(body)
    assert document["status"] == status
    return document


def test_a_connection_serves_one_request_after_another(connect):
    client = connect()
    for _ in range(3):
        assert client.send(HEAD.format("GET /fast") + "\r\n").answer()[0] == 200


def test_pipelined_requests_are_answered_in_order(connect):
    client = connect().send(HEAD.format("GET /fast") + "X-Request-ID: 1\r\n\r\n" + HEAD.format("GET /none") + "\r\n")
    assert client.answer()[1]["x-request-id"] == "1"
    assert client.answer()[0] == 404


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("rubbish\r\n\r\n", 400),
        ("GET /fast\r\n\r\n", 400),
        ("GET /fa st HTTP/1.1\r\nHost: t\r\n\r\n", 400),
        ("GET /fast HTTP/1.1\r\n\r\n", 400),
        ("GET /fast HTTP/2.0\r\nHost: t\r\n\r\n", 505),
        (HEAD.format("GET /fast") + "no colon\r\n\r\n", 400),
        (HEAD.format("GET /fast") + "Name : blank\r\n\r\n", 400),
        (HEAD.format("GET /fast") + " folded\r\n\r\n", 400),
        (HEAD.format("GET /fast") + "X: a\x00b\r\n\r\n", 400),
        (HEAD.format("GET /fast") + "Host: two\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Content-Length: abc\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Content-Length: +5\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Content-Length: -5\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Transfer-Encoding: gzip, chunked\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Content-Length: 2, 2\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Content-Length: 0x2\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Content-Length: " + "9" * 400 + "\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Content-Length : 2\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Content-Length:\x0b2\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Transfer-Encoding: xchunked\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Transfer-Encoding: \x0bchunked\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Transfer-Encoding:\r\n chunked\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Transfer-Encoding : chunked\r\n\r\n", 400),
        ("POST /v1/echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (HEAD.format("GET /fast") + "X: a\rTransfer-Encoding: chunked\r\n\r\n", 400),
        (HEAD.format("GET /fast") + "X: a\nY: b\r\n\r\n", 400),
        (HEAD.format("GET /fast") + "X: a\r\n\n", 400),
        ("GET /fast HTTP/1.1\nHost: test\n\n", 400),
        ("GET\t/fast\tHTTP/1.1\r\nHost: test\r\n\r\n", 400),
        ("GET /fast\x00 HTTP/1.1\r\nHost: test\r\n\r\n", 400),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (HEAD.format("GET /fast") + ": no name\r\n\r\n", 400),
        (HEAD.format("GET /fast") + "X\xe9: y\r\n\r\n", 400),
        (HEAD.format("GET /fast") + "Authorization: a\r\nAuthorization: b\r\n\r\n", 400),
        (HEAD.format("GET /" + "x" * 9000) + "\r\n", 414),
        (HEAD.format("GET /fast") + "X: " + "x" * 9000 + "\r\n\r\n", 431),
        (HEAD.format("GET /fast") + "".join(f"X{n}: y\r\n" for n in range(200)) + "\r\n", 431),
    ],
)
def test_a_malformed_request_is_refused_with_a_problem_and_its_connection_closed(connect, request_text, status):
    client = connect().send(request_text)
    answer = client.answer()
    assert problem(answer)["status"] == status
    assert answer[1]["connection"] == "close"
    client.socket.shutdown(socket.SHUT_WR)
    assert client.is_closed()


def test_an_absolute_target_and_a_blank_line_before_the_request_are_taken(connect):
    client = connect().send("\r\n" + HEAD.format("GET http://test/fast") + "\r\n")
    assert client.answer()[0] == 200


def test_http_1_0_gets_one_answer_and_the_end(connect):
    client = connect().send("GET /fast HTTP/1.0\r\n\r\n")
    assert client.answer()[0] == 200
    assert client.is_closed()


def test_head_has_the_headers_of_get_and_no_body(connect):
    client = connect().send(HEAD.format("HEAD /fast") + "X-Request-ID: 1\r\n\r\n")
    line = client.file.readline()
    headers = []
    while (header := client.file.readline()) != b"\r\n":
        headers.append(header)
    assert line.startswith(b"HTTP/1.1 200")
    assert b"Content-Length: 18\r\n" in headers
    assert client.send(HEAD.format("GET /fast") + "\r\n").answer()[0] == 200


def chunked(*chunks: str) -> str:
    head = HEAD.format("POST /v1/echo") + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + "".join(f"{len(chunk):x}\r\n{chunk}\r\n" for chunk in chunks) + "0\r\n\r\n"


def test_a_chunked_body_is_read_and_the_connection_goes_on(connect):
    client = connect().send(chunked('{"text": ', '"hello"}'))
    assert json.loads(client.answer()[2]) == {"text": "hello"}
    assert client.send(HEAD.format("GET /fast") + "\r\n").answer()[0] == 200


@pytest.mark.parametrize(
    "size",
    ["zz", "-5", "0x5", "+5", "1_0", "", " 5", "\x0b5", "5\r", "5\n", "5;a\rb", "5;a\nb", "F" * 400, "5;" + "a" * 9000],
)
def test_a_malformed_chunk_size_is_400(connect, size):
    text = chunked("hello").replace("\r\n5\r\n", f"\r\n{size}\r\n")
    assert problem(connect().send(text).answer())["status"] == 400


@pytest.mark.parametrize("trailer", ["\n", "GET /fast HTTP/1.1\r\nHost: x\r\n", "X: a\n", "X y\r\n"])
def test_a_malformed_trailer_is_400_and_no_part_of_it_a_request(connect, trailer):
    client = connect().send(chunked('{"text": "x"}')[:-2] + trailer + "\r\n")
    assert problem(client.answer())["status"] == 400
    client.socket.shutdown(socket.SHUT_WR)
    assert client.is_closed()


def test_a_chunk_longer_than_its_size_is_400(connect):
    assert problem(connect().send(chunked("hello").replace("\r\n5\r\n", "\r\n4\r\n")).answer())["status"] == 400


def test_what_follows_a_body_of_a_length_is_the_next_request_and_no_other(connect):
    """`Content-Length: 0` with a request in the body: it is answered as one of its own, in order."""
    client = connect().send(HEAD.format("POST /none") + "Content-Length: 0\r\n\r\n" + HEAD.format("GET /fast") + "\r\n")
    assert [client.answer()[0], client.answer()[0]] == [404, 200]


def test_a_body_without_length_is_none(connect):
    """RFC 9112, section 6.3: without either header there is no body; what comes then is no request."""
    client = connect().send(HEAD.format("POST /v1/echo") + 'Content-Type: application/json\r\n\r\n{"text": "x"}\r\n')
    assert problem(client.answer())["status"] == 400
    assert problem(client.answer())["status"] == 400
    client.socket.shutdown(socket.SHUT_WR)
    assert client.is_closed()


def test_a_chunked_body_over_the_limit_is_413(connect):
    assert problem(connect().send(chunked("x" * 900, "x" * 900)).answer())["status"] == 413


def test_a_body_over_the_limit_is_413_and_the_client_can_read_it_after_sending_all(connect):
    size = 9 << 20
    client = connect()
    client.send(HEAD.format("POST /v1/echo") + f"Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n")
    client.send(b"x" * size)
    answer = client.answer()
    assert problem(answer)["status"] == 413
    assert answer[1]["connection"] == "close"


def test_a_large_body_is_refused_before_it_is_sent_when_the_client_asks(connect):
    head = HEAD.format("POST /v1/echo") + "Content-Type: application/json\r\n"
    client = connect().send(head + "Content-Length: 99999\r\nExpect: 100-continue\r\n\r\n")
    assert client.answer()[0] == 413


def test_a_client_that_asks_is_told_to_continue(connect):
    head = HEAD.format("POST /v1/echo") + "Content-Type: application/json\r\n"
    client = connect().send(head + "Content-Length: 14\r\nExpect: 100-continue\r\n\r\n")
    assert client.answer()[0] == 100
    assert client.send('{"text": "hi"}').answer()[0] == 200


def test_a_small_body_that_nobody_reads_does_not_cost_the_connection(connect):
    client = connect().send(HEAD.format("POST /none") + "Content-Length: 5\r\n\r\nhello")
    assert client.answer()[0] == 404
    assert client.send(HEAD.format("GET /fast") + "\r\n").answer()[0] == 200


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
    wait_until(lambda: not server._connections)
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
    wait_until(lambda: len(server._connections) == 2)
    first = next(iter(server._connections._open.values()))
    assert connect().send(HEAD.format("GET /fast") + "\r\n").answer()[0] == 200
    slow[0].file.read()  # to the end, which comes
    assert first[1].fileno() == -1, "its file is still open"


def does_not_read(server, connect) -> list[Client]:
    """Two clients whose answers are there, and are not taken."""
    deaf = [connect(receive_buffer=2048).send(HEAD.format("GET /large") + "\r\n") for _ in range(2)]
    wait_until(lambda: sum(c.answered_since is not None for c in server._connections._open.values()) == 2)
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
    wait_until(lambda: not server._connections)
    assert [each.fileno() for each in sockets] == [-1, -1]
    # A reset: what was left of the answers is no longer anywhere.
    assert [client.error() for client in deaf] == [errno.ECONNRESET] * 2


def test_an_answer_that_is_taken_leaves_no_limit_behind(server, connect, monkeypatch):
    monkeypatch.setattr("shared.http_connections.ANSWER_TIMEOUT_S", 0.2)
    client = connect()
    for _ in range(2):
        assert client.send(HEAD.format("GET /fast") + "\r\n").answer()[0] == 200
        wait_until(lambda: all(c._answer_limit is None for c in server._connections._open.values()))
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
    wait_until(lambda: len(server.container._worker_threads) == 1)
    waiting = connect().send(HEAD.format("GET /fast") + "\r\n")
    SampleService.release.send(None)
    assert busy.answer()[0] == 200
    assert waiting.answer()[0] == 200


def test_stopping_finishes_running_requests_whole_and_closes_idle_connections(container, server, connect):
    idle = connect().send(HEAD.format("GET /fast") + "\r\n")
    idle.answer()
    running = connect().send(HEAD.format("GET /slow") + "\r\n")
    address = server._sock.getsockname()
    wait_until(lambda: len(container._worker_threads) == 1)
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
    wait_until(lambda: len(container._worker_threads) == 1)
    began = time.monotonic()
    server.drain()
    assert time.monotonic() - began < 2


def test_a_taken_port_is_a_clear_error(server):
    with pytest.raises(ConfigurationError, match=r"Another process may hold it.*GATEWAY_ADDRESS"):
        listening.listen(server._sock.getsockname())


def test_a_connection_just_made_is_served_though_the_server_stops(container, server, connect):
    client = connect()
    wait_until(lambda: bool(server._connections))
    stopping = eventlet.spawn(container.stop)
    wait_until(lambda: server.is_draining)
    eventlet.sleep(0.1)  # the drain looks at its connections every 0.02 s
    assert client.send(HEAD.format("GET /fast") + "\r\n").answer()[0] == 200
    assert client.is_closed()
    stopping.wait()
