"""The open streams of a process: one greenlet sends to all, and no reader makes it wait.

A greenlet each, as for a request, would cost 1,000 readers some 50 MB; so their connections leave the server, which
has a worker, a stack and buffers for each of its own. What is sent is framed once for all that get the same.
"""

import logging
import resource
import time
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import eventlet

from shared import http_readers_metrics as metrics
from shared import sse
from shared.http_connections import MAX_CONNECTIONS, SPARE_FILES
from shared.http_reader import EXPIRED, LEFT, STOPPING, Reader

log = logging.getLogger(__name__)

# Readers served before others may run: about 1 ms.
SERVED_AT_ONCE = 50

BatchOf = Callable[[Any], bytes]
"""From what readers want to the bytes that they get, empty for none."""


class Readers:
    """Those that are open, up to `limit`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        # In order; a set would be walked in another one while it changes.
        self._open: dict[Reader, None] = {}
        self._behind: dict[Reader, None] = {}
        metrics.READERS.set_function(self.__len__)

    def __len__(self) -> int:
        return len(self._open)

    def has_room(self) -> bool:
        """Whether one more may be added; when there is none, those that have left make room."""
        if len(self._open) >= self.limit:
            self.look_after()
        return len(self._open) < self.limit

    @property
    def are_behind(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._behind)

    def add(self, reader: Reader, first: bytes) -> None:
        """`first` is sent to it before all else."""
        self._open[reader] = None
        metrics.OPENED.inc()
        self._send(reader, sse.chunk(first) if reader.is_chunked else first)

    def broadcast(self, batch_of: BatchOf) -> None:
        """Send to each of those that are open now what it wants."""
        framed: dict[tuple[Hashable, bool], bytes] = {}
        for reader in self._in_turn(self._open):
            key = reader.wants, reader.is_chunked
            if key not in framed:
                raw = batch_of(reader.wants)
                framed[key] = sse.chunk(raw) if raw and reader.is_chunked else raw
            if framed[key]:
                self._send(reader, framed[key])

    def push(self) -> None:
        """Send on to those that have not taken all yet."""
        for reader in self._in_turn(self._behind):
            self._settle(reader, reader.push())

    def look_after(self) -> None:
        """Let those go that have left, or whose time is over."""
        now = time.time()
        for reader in self._in_turn(self._open):
            if now >= reader.expires_at:
                self.remove(reader, EXPIRED)
            elif reader.has_left():
                self.remove(reader, LEFT)

    def end_all(self) -> None:
        """At once: the process stops."""
        for reader in list(self._open):
            self.remove(reader, STOPPING)

    def remove(self, reader: Reader, reason: str) -> None:
        self._open.pop(reader, None)
        self._behind.pop(reader, None)
        reader.close(reason)
        metrics.ENDED.labels(reason).inc()
        log.info("a stream has ended", extra={"request_id": reader.request_id, "reason": reason})

    def _send(self, reader: Reader, data: bytes) -> None:
        metrics.BYTES.inc(len(data))
        self._settle(reader, reader.send(data))

    def _settle(self, reader: Reader, reason: str | None) -> None:
        if reason is not None:
            self.remove(reader, reason)
        elif reader.waiting_bytes:
            self._behind[reader] = None
        else:
            self._behind.pop(reader, None)

    def _in_turn(self, readers: Iterable[Reader]) -> Iterable[Reader]:
        for number, reader in enumerate(list(readers), 1):
            if reader in self._open:
                yield reader
            if number % SERVED_AT_ONCE == 0:
                eventlet.sleep(0)


def room_for(wanted: int) -> int:
    """So many readers of `wanted` as there are file descriptors for beside the connections; asks for more of them."""
    needed = MAX_CONNECTIONS + SPARE_FILES + wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    room = wanted if soft == resource.RLIM_INFINITY else max(min(wanted, soft - MAX_CONNECTIONS - SPARE_FILES), 1)
    if room < wanted:
        log.warning("fewer streams than wanted: too few file descriptors", extra={"wanted": wanted, "room": room})
    return room
