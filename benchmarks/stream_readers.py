"""Many readers of the live stream in this process, and when the last of them has seen something."""

import contextlib
import resource
import selectors
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from benchmarks.errors import BenchmarkError

SPARE_FILES = 200
LIMIT_S = 30.0


class StreamReaders:
    """So many open streams at `url`, which take all that comes. Raises BenchmarkError."""

    def __init__(self, url: str, token: str, count: int) -> None:
        _make_room(count)
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._selector = selectors.DefaultSelector()
        self._rest: dict[socket.socket, bytes] = {}
        self.bytes_received = 0
        request = f"GET /v1/stream HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        for _ in range(count):
            sock = socket.create_connection((parts.hostname, parts.port), timeout=10)
            self._rest[sock] = b""
            sock.sendall(request)
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ)
        self.wait_for(b"retry: ")

    def wait_for(self, text: bytes) -> float:
        """Read until each has got `text`; returns when the last one had it, as monotonic time."""
        missing = {sock for sock, rest in self._rest.items() if text not in rest}
        deadline = time.monotonic() + LIMIT_S
        while missing:
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{len(missing)} of {len(self._rest)} readers have not got {text!r}")
            for key, _ in self._selector.select(1):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                if text in self._read(sock, len(text)):
                    missing.discard(sock)
        return time.monotonic()

    def _read(self, sock: socket.socket, kept: int) -> bytes:
        data = sock.recv(1 << 16)
        if not data:
            raise BenchmarkError("a stream has ended")
        self.bytes_received += len(data)
        seen = self._rest[sock] + data
        self._rest[sock] = seen[-kept:]
        return seen

    def close(self) -> None:
        self._selector.close()
        for sock in self._rest:
            sock.close()


@contextlib.contextmanager
def reading(url: str, token: str, count: int) -> Iterator[StreamReaders]:
    """Readers for the time of the block."""
    readers = StreamReaders(url, token, count)
    try:
        yield readers
    finally:
        readers.close()


def _make_room(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count + SPARE_FILES:
        if hard < count + SPARE_FILES:
            raise BenchmarkError(f"{count} readers need {count + SPARE_FILES} file descriptors, the limit is {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count + SPARE_FILES, hard))
