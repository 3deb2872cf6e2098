"""A TCP proxy that a test puts in front of the broker or the database, to lose it without stopping it."""

import contextlib
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import eventlet
from eventlet.event import Event

# Closing with it sends a reset instead of an orderly end.
ABORT = struct.pack("ii", 1, 0)


class TcpProxy:
    """Forwards to `host:port`, in this process, until it is told otherwise."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._connections: dict[Any, list[socket.socket]] = {}
        self._forsaken: list[socket.socket] = []
        self._gate = Event()
        self._gate.send()
        # Seconds that everything takes to pass, either way.
        self.delay_s = 0.0
        self._listener: Any = None
        self._accepting: Any = None
        self.port = 0
        self._listen()

    def cut(self) -> None:
        """Reset all connections; new ones are taken."""
        for forwarding, ends in list(self._connections.items()):
            for end in ends:
                # One that its peer has ended just now is closed already.
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            forwarding.kill()

    def refuse(self) -> None:
        """Reset all connections and refuse new ones."""
        self._accepting.kill()
        self._listener.close()
        self._listener = None
        self.cut()

    def pause(self) -> None:
        """Keep all connections, take new ones, and pass nothing on."""
        if self._gate.ready():
            self._gate = Event()

    def forsake(self) -> None:
        """Forget all connections without a word: both ends stay open, and nothing will ever pass between them."""
        for forwarding, ends in list(self._connections.items()):
            self._forsaken += ends
            self._connections[forwarding] = []
            forwarding.kill()

    def restore(self) -> None:
        """Take connections again, and pass on what was held up."""
        if not self._gate.ready():
            self._gate.send()
        if self._listener is None:
            self._listen()

    def close(self) -> None:
        if self._listener is not None:
            self.refuse()
        for end in self._forsaken:
            end.close()

    def _listen(self) -> None:
        # Not eventlet.listen: its SO_REUSEPORT would let the kernel choose between two listeners.
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(100)
        self.port = self._listener.getsockname()[1]
        self._accepting = eventlet.spawn(self._accept, self._listener)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            near, _ = listener.accept()
            ends = [near]
            forwarding = eventlet.spawn(self._forward, ends)
            self._connections[forwarding] = ends
            forwarding.link(self._forget)

    def _forget(self, forwarding: Any) -> None:
        for end in self._connections.pop(forwarding):
            end.close()

    def _forward(self, ends: list[socket.socket]) -> None:
        with contextlib.suppress(OSError):
            ends.append(socket.create_connection(self._target))
            ended = Event()
            pumps = [eventlet.spawn(self._pump, *pair, ended) for pair in (ends, reversed(ends))]
            try:
                ended.wait()
            finally:
                # Before its socket is closed: eventlet would take a reused file descriptor for the old one.
                for pump in pumps:
                    pump.kill()

    def _pump(self, source: socket.socket, sink: socket.socket, ended: Event) -> None:
        with contextlib.suppress(OSError):
            sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := source.recv(65536):
                self._gate.wait()
                if self.delay_s:
                    eventlet.sleep(self.delay_s)
                sink.sendall(data)
        if not ended.ready():
            ended.send()


@contextmanager
def in_front_of(url: str) -> Iterator[tuple[TcpProxy, str]]:
    """A proxy before the server at `url`, and the URL that leads through it."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = TcpProxy(parts.hostname, parts.port)
    try:
        yield proxy, parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{proxy.port}")).geturl()
    finally:
        proxy.close()
