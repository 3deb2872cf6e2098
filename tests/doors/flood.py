"""Clients that hold many connections of the gateway, and one who wants to be served meanwhile. All are green."""

import errno
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import eventlet

from tests.waiting import eventually

Address = tuple[str, int]
# How long one of the others may have to wait while the gateway is beset.
PATIENCE_S = 10.0


def address_of(url: str) -> Address:
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 0)


class Probe:
    """One of the others: a new connection for each request, as fast as the answers come."""

    def __init__(self, address: Address, request: bytes) -> None:
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

    def is_served(self, times: int, within: float) -> None:
        """Return once it has been answered so often more; fails when that takes longer than `within` seconds."""
        seen = len(self.waits)
        eventually(lambda: len(self.waits) > seen + times, timeout=within)


@contextmanager
def served_throughout(address: Address, token: str) -> Iterator[Probe]:
    """A probe of what goes through a worker and a service; fails when it fails once, or waits for `PATIENCE_S`."""
    request = f"GET /v1/trips?limit=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    probe = Probe(address, f"{request}Connection: close\r\n\r\n".encode())
    running = eventlet.spawn(probe.run)
    try:
        probe.is_served(3, within=10)
        yield probe
        probe.is_served(3, within=30)
    finally:
        running.kill()
    assert probe.failures == []
    assert max(probe.waits) < PATIENCE_S


@contextmanager
def connections(
    address: Address, count: int, first_bytes: bytes = b"", receive_buffer: int = 0
) -> Iterator[list[socket.socket]]:
    """That many at once, each of which has sent `first_bytes`, those that were turned away included."""
    opened: list[socket.socket] = []
    try:
        for _ in range(count):
            sock = socket.socket()
            opened.append(sock)
            if receive_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.settimeout(30)
            sock.connect(address)
            send_if_open(sock, first_bytes)
            eventlet.sleep()  # the others are in this process: it is the gateway that may keep them waiting
        yield opened
    finally:
        for sock in opened:
            sock.close()


def send_if_open(sock: socket.socket, data: bytes) -> None:
    """Send it, unless the server has given up on this connection."""
    try:
        sock.sendall(data)
    except OSError:
        return


def is_reset(sock: socket.socket) -> bool:
    """Whether the server has cut this connection off. The kernel says so once."""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET


@contextmanager
def open_files(soft: int) -> Iterator[int]:
    """This process, and those that it starts meanwhile, may have that many files open, or the hard limit."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = soft if hard == resource.RLIM_INFINITY else min(soft, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    try:
        yield allowed
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))
