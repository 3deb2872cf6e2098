"""A service with HTTP entrypoints and no broker, and a client that writes bytes and reads answers."""

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import eventlet
import pytest
from marshmallow import fields
from nameko.containers import ServiceContainer

from shared.http import Answer, Call, http
from shared.http_policy import HttpPolicy
from shared.validation import StrictSchema

# The fixtures, for conftest.py.
__all__ = ["connect", "container", "server"]

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
