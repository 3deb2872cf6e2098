"""One listening socket for several servers: each takes its share, and one that ends takes nothing with it."""

import os
import socket
from collections.abc import Callable, Iterator

import eventlet
import pytest
from nameko.containers import ServiceContainer

from shared import listening
from shared.config import ConfigurationError
from shared.http import Call, http
from shared.http_policy import HttpPolicy

REQUEST = b"GET /name HTTP/1.1\r\nHost: test\r\n\r\n"


class NamedService:
    name = "named_service"

    @http("GET", "/name", summary="Who answers")
    def who(self, call: Call):
        return {"name": self.name}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as held:
        yield held


@pytest.fixture
def start(listener: socket.socket) -> Iterator[Callable[[], ServiceContainer]]:
    running: list[ServiceContainer] = []

    def start() -> ServiceContainer:
        config = {"WEB_SERVER_SOCKET_FD": os.dup(listener.fileno()), "HTTP_POLICY": HttpPolicy(), "AMQP_URI": ""}
        container = ServiceContainer(NamedService, {"max_workers": 10, **config})
        container.start()
        running.append(container)
        return container

    yield start
    for container in running:
        container.stop()


def ask(connection: socket.socket) -> bytes:
    connection.settimeout(10)
    connection.sendall(REQUEST)
    return connection.recv(1000).split(b"\r\n")[0]


def test_one_that_stops_leaves_the_socket_to_the_others(listener, start):
    first, _ = start(), start()
    first.stop()
    for _ in range(5):
        with socket.create_connection(listener.getsockname()) as client:
            assert ask(client) == b"HTTP/1.1 200 OK"


def test_connections_that_wait_are_served_by_who_comes_next(listener, start):
    start().stop()
    with socket.create_connection(listener.getsockname()) as client:
        eventlet.spawn_after(0.05, start)
        assert ask(client) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize("kind", ["closed", "file", "not listening", "datagrams", "unix"])
def test_what_is_no_listening_tcp_socket_is_refused_and_left_alone(kind, tmp_path):
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "s"))
        unix.listen()
        with (tmp_path / "file").open("w") as file:
            numbers = {
                "closed": 1_000_000,
                "file": file.fileno(),
                "not listening": tcp.fileno(),
                "datagrams": udp.fileno(),
                "unix": unix.fileno(),
            }
            with pytest.raises(ConfigurationError, match=r"GATEWAY_SOCKET_FD.*no listening TCP socket"):
                listening.adopt(numbers[kind])
        assert tcp.fileno() >= 0
        os.fstat(tcp.fileno())
