"""The connections of the HTTP server: how many there may be, and which makes way when there is no more room."""

import resource
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

import eventlet
from eventlet import greenio, hubs, wsgi

from shared.listening import has_input

MAX_CONNECTIONS = 1000
SPARE_FILES = 64
# So long a client may take over its request or its answer, however many others wait for its place.
PATIENCE_S = 1.0
# So long it may take over its answer, though nobody waits.
ANSWER_TIMEOUT_S = 120
# The next request of a connection that was busy just now, or is new, may be on its way still.
GRACE_S = 0.5
LOOK_AGAIN_S = 0.05
# On, for 0 s: closing is a reset.
AT_ONCE = struct.pack("ii", 1, 0)


class Connection(list[Any]):
    """eventlet's [address, socket, state] of a connection."""

    # Monotonic times: since when the server waits for the client to send, and to take its answer.
    awaited_since: float | None = None
    answered_since: float | None = None
    _answer_limit: Any = None

    def __init__(self, address: Any, sock: Any) -> None:
        super().__init__([address, sock, wsgi.STATE_IDLE])
        self.opened_at = self.idle_since = time.monotonic()

    @contextmanager
    def awaiting(self, since: float | None = None) -> Iterator[None]:
        """While the server waits for what this client sends; `since`: monotonic time, now unless given."""
        self.awaited_since = time.monotonic() if since is None else since
        try:
            yield
        finally:
            self.awaited_since = None

    def begin_answer(self) -> None:
        """The answer is there; from now on the client has `ANSWER_TIMEOUT_S` to take it."""
        self.end_answer()
        self.answered_since = time.monotonic()
        self._answer_limit = hubs.get_hub().schedule_call_global(ANSWER_TIMEOUT_S, self.close_soon)

    def end_answer(self) -> None:
        """The answer is written, or given up."""
        self.answered_since = None
        if self._answer_limit is not None:
            self._answer_limit.cancel()
            self._answer_limit = None

    def become_idle(self) -> None:
        """The server begins to wait for a next request."""
        self.idle_since = time.monotonic()

    @property
    def waited_for_since(self) -> float | None:
        """Since when the client keeps the server waiting with a request or an answer."""
        if self[2] == wsgi.STATE_CLOSE:
            return None
        return min((since for since in (self.awaited_since, self.answered_since) if since is not None), default=None)

    @property
    def is_idle(self) -> bool:
        return bool(self[2] == wsgi.STATE_IDLE and not has_input(self[1]))

    def close_soon(self) -> None:
        """Its greenlet sees the end of the input, or that nobody takes its output, and ends."""
        if self.answered_since is not None:
            # What the client does not take is thrown away, else the kernel would keep it for minutes.
            self[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
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
        """Close the one idle longest, else the one whose client takes longest over its request or its answer.

        Only who is slow is closed, and of those that were busy just now one only when nobody is.
        """
        connection = next(self._makes_way(time.monotonic()), None)
        if connection is not None:
            connection.close_soon()

    def _makes_way(self, now: float) -> Iterator[Connection]:
        """Those that may be closed, in that order; whether one is truly idle, a system call, is asked of few."""
        idle = sorted((c for c in self._open.values() if c[2] == wsgi.STATE_IDLE), key=attrgetter("idle_since"))
        yield from (c for c in idle if now - c.idle_since > GRACE_S and c.is_idle)
        slow = [(c.waited_for_since, id(c)) for c in self._open.values() if c.waited_for_since is not None]
        yield from (self._open[key] for since, key in sorted(slow) if now - since > PATIENCE_S)
        yield from (c for c in idle if now - c.opened_at > GRACE_S and c.is_idle)

    def close_idle(self, spared_s: float) -> None:
        """Close those that are idle, but not what was opened within the last `spared_s` seconds."""
        opened_before = time.monotonic() - spared_s
        for connection in list(self._open.values()):
            if connection.is_idle and connection.opened_at < opened_before:
                connection.close_soon()
