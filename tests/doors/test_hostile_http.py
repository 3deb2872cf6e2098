"""Clients that mean harm, by raw sockets, while others want to be served; and JSON that means harm, on every route."""

import json
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import eventlet
import pytest

from gateway_service.openapi import routes_of
from gateway_service.service import GatewayService
from shared.http_connections import MAX_CONNECTIONS
from tests.e2e.client import Api, Client, Stack, problem, unknown_id
from tests.waiting import eventually

# How long one of the others may have to wait while the gateway is beset.
PATIENCE_S = 10.0
IDLE = 10_000
SPARE_FILES = 1000


class Probe:
    """One of the others: a new connection for each request, as fast as the answers come."""

    def __init__(self, address: tuple[str, int], request: bytes) -> None:
        self.address, self.request = address, request
        self.waits: list[float] = []
        self.failures: list[str] = []

    def run(self) -> None:
        while True:
            began = time.monotonic()
            try:
                with socket.create_connection(self.address, timeout=30) as sock:
                    sock.sendall(self.request)
                    answer = sock.recv(65536)
                if not answer.startswith(b"HTTP/1.1 200"):
                    self.failures.append(repr(answer[:200]))
            except OSError as error:
                self.failures.append(repr(error))
            self.waits.append(time.monotonic() - began)
            eventlet.sleep(0.01)


@pytest.fixture
def address(stack: Stack) -> tuple[str, int]:
    parts = urlsplit(stack.gateway_url)
    return str(parts.hostname), int(parts.port or 0)


@pytest.fixture
def others(address: tuple[str, int], api: Api) -> Iterator[Probe]:
    """Is served from beginning to end, or the test fails; asks what goes through a worker and a service."""
    request = f"GET /v1/trips?limit=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.token('operator')}\r\n"
    probe = Probe(address, f"{request}Connection: close\r\n\r\n".encode())
    running = eventlet.spawn(probe.run)
    eventually(lambda: len(probe.waits) > 3)
    try:
        yield probe
        seen = len(probe.waits)
        eventually(lambda: len(probe.waits) > seen + 3, timeout=30)
    finally:
        running.kill()
    assert probe.failures == []
    assert max(probe.waits) < PATIENCE_S


@contextmanager
def connections(address: tuple[str, int], count: int, first_bytes: bytes) -> Iterator[list[socket.socket]]:
    """That many at once, each of which has sent `first_bytes`, those that were turned away included."""
    opened: list[socket.socket] = []
    try:
        for _ in range(count):
            sock = socket.create_connection(address, timeout=30)
            opened.append(sock)
            if first_bytes:
                try:
                    sock.sendall(first_bytes)
                except OSError:
                    continue  # it has had to make way already
        yield opened
    finally:
        for sock in opened:
            sock.close()


BODY_HEAD = b"POST /v1/trips HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
SLOW = {
    "a head": b"GET /ping HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    "a body of a length": BODY_HEAD + b"Authorization: Bearer %s\r\nContent-Length: 100\r\n\r\n{",
    "a chunked body": BODY_HEAD + b"Authorization: Bearer %s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    "a body that nobody wants": b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
}


@pytest.mark.parametrize("begun", SLOW.values(), ids=SLOW)
def test_slow_clients_cost_no_worker_and_lock_nobody_out(
    address: tuple[str, int], api: Api, others: Probe, begun: bytes
) -> None:
    begun = begun.replace(b"%s", api.token("rider").encode())
    with connections(address, MAX_CONNECTIONS + 300, begun) as slow:
        seen = len(others.waits)

        def served_meanwhile() -> bool:
            for sock in slow[::50]:
                with_harmless_errors(sock, b"x")
            return len(others.waits) > seen + 20

        # Sooner than any of the server's own limits of time would set a place free.
        eventually(served_meanwhile, timeout=20)


def with_harmless_errors(sock: socket.socket, data: bytes) -> None:
    """Send a little more, if the server has not given up on it."""
    try:
        sock.sendall(data)
    except OSError:
        sock.close()


# Connecting so often takes most of a minute on an idle machine.
@pytest.mark.timeout(600)
def test_ten_thousand_idle_connections_lock_nobody_out(address: tuple[str, int], others: Probe) -> None:
    count = min(IDLE, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES)
    with connections(address, count, b""):
        seen = len(others.waits)
        eventually(lambda: len(others.waits) > seen + 50, timeout=60)


def test_a_flood_of_pipelined_requests_does_not_starve_the_others(address: tuple[str, int], others: Probe) -> None:
    with socket.create_connection(address, timeout=30) as sock:
        reader = eventlet.spawn(lambda: sum(len(piece) for piece in iter(lambda: sock.recv(1 << 16), b"")))
        sock.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n" * 2000)
        sock.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert reader.wait() > 2000 * 100


HOSTILE_JSON = {
    "brackets": b"[" * 100_000 + b"]" * 100_000,
    "braces": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "brackets that stay open": b"[" * 100_000,
    "1e400": b'{"location": {"type": "Point", "coordinates": [1e400, 0]}, "battery_percent": 1e400}',
    "-1e400": b'{"battery_percent": -1e400}',
    "400 digits": b'{"battery_percent": ' + b"9" * 400 + b"}",
    "5000 digits": b'{"battery_percent": ' + b"9" * 5000 + b"}",
    "400 decimals": b'{"battery_percent": 200.' + b"9" * 400 + b"}",
    "one name twice": b'{"bike_id": 1, "bike_id": 2, "name": "a", "name": "b"}',
    "one name twice, escaped": b'{"name": "a", "n\\u0061me": "b"}',
    "a NUL": b'{"name": "a\\u0000b"}',
    "NUL bytes": b'{"name": "a\x00b"}\x00',
    "half a surrogate pair": b'{"name": "\\ud800"}',
    "invalid UTF-8": b'{"name": "\xff\xfe"}',
    "an overlong slash": b'{"name": "\xc0\xaf"}',
    "a byte order mark": b'\xef\xbb\xbf{"name": "a"}',
    "NaN": b'{"battery_percent": NaN}',
    "a list": b"[]",
    "a text": b'"text"',
    "null": b"null",
    "many names": json.dumps({f"n{number}": number for number in range(20_000)}).encode(),
    "a class": b'{"__proto__": {"role": "operator"}, "constructor": 1, "__class__": "x"}',
}
WITH_BODY = [route for _, route in routes_of(GatewayService) if route.body is not None]


@pytest.mark.parametrize("route", WITH_BODY, ids=[f"{route.method} {route.path}" for route in WITH_BODY])
def test_hostile_json_is_refused_on_every_route_and_harms_nobody(api: Api, others: Probe, route) -> None:
    role = "operator" if "operator" in route.roles else "rider"
    client = api.client(role)
    path = route.path
    for name in route.parameters:
        path = path.replace(f"{{{name}}}", unknown_id())
    for name, body in HOSTILE_JSON.items():
        response = client.request(route.method, path, data=body, headers={"Content-Type": "application/json"})
        assert response.status_code in (400, 422), f"{name}: {response.status_code} {response.text}"
        problem(response, 400, 422)


HOSTILE_QUERIES = [
    "%00",
    "%ff",
    "%ed%a0%80",
    "1e400",
    "9" * 400,
    "-0",
    "NaN",
    "%E2%80%AE",
    "'; DROP TABLE bikes;--",
    "a" * 7000,
]
WITH_QUERY = [
    (route.path, name)
    for _, route in routes_of(GatewayService)
    if route.query is not None
    for name in route.query.fields
]


@pytest.mark.parametrize(("path", "name"), WITH_QUERY)
def test_hostile_queries_are_answered(operator: Client, path: str, name: str) -> None:
    for value in HOSTILE_QUERIES:
        response = operator.request("GET", f"{path}?{name}={value}")
        if response.status_code != 200:  # any text is a rider's id
            problem(response, 422)
        else:
            assert name == "rider_id", value
