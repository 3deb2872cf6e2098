"""The connections of the HTTP server: how many there may be, and which makes way when there is no more room."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import eventlet
from eventlet import greenio, wsgi

from shared.listening import has_input

MAX_CONNECTIONS = 1000
SPARE_FILES = 64
# So long a client may take over its request, however many others wait for its place.
PATIENCE_S = 1.0
# A new connection's request may be on its way still.
GRACE_S = 0.5
LOOK_AGAIN_S = 0.05


class Connection(list[Any]):
    """eventlet's [address, socket, state] of a connection."""

    awaited_since: float | None = None

    def __init__(self, address: Any, sock: Any) -> None:
        super().__init__([address, sock, wsgi.STATE_IDLE])
        self.opened_at = time.monotonic()

    @contextmanager
    def awaiting(self, since: float | None = None) -> Iterator[None]:
        """While the server waits for what this client sends; `since`: monotonic time, now unless given."""
        self.awaited_since = time.monotonic() if since is None else since
        try:
            yield
        finally:
            self.awaited_since = None

    @property
    def is_idle(self) -> bool:
        return bool(self[2] == wsgi.STATE_IDLE and not has_input(self[1]))

    def close_soon(self) -> None:
        """Its greenlet sees the end of the input, and ends."""
        self[2] = wsgi.STATE_CLOSE
        greenio.shutdown_safe(self[1])


class Connections:
    """Those that are open, oldest first, and the room for more."""

    def __init__(self) -> None:
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.room = eventlet.Semaphore(max(min(MAX_CONNECTIONS, files - SPARE_FILES), 1))
        self._open: dict[int, Connection] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, address: Any, sock: Any) -> Connection:
        connection = Connection(address, sock)
        self._open[id(connection)] = connection
        return connection

    def remove(self, connection: Connection) -> None:
        """It has ended: another has room."""
        self._open.pop(id(connection), None)
        self.room.release()

    def wait_for_room(self) -> None:
        """Return when one more may be accepted, for which another has to go if need be."""
        if not self.room.acquire(blocking=False):
            self.close_one()
            while not self.room.acquire(timeout=LOOK_AGAIN_S):
                self.close_one()

    def close_one(self) -> None:
        """Close the oldest that is idle, else the one whose client takes longest to send its request, if it is slow."""
        now = time.monotonic()
        for connection in self._open.values():
            if connection.is_idle and now - connection.opened_at > GRACE_S:
                connection.close_soon()
                return
        slow = [(c.awaited_since, id(c)) for c in self._open.values() if c.awaited_since and c[2] != wsgi.STATE_CLOSE]
        if slow and now - min(slow)[0] > PATIENCE_S:
            self._open[min(slow)[1]].close_soon()

    def close_idle(self, spared_s: float) -> None:
        """Close those that are idle, but not what was opened within the last `spared_s` seconds."""
        opened_before = time.monotonic() - spared_s
        for connection in list(self._open.values()):
            if connection.is_idle and connection.opened_at < opened_before:
                connection.close_soon()
