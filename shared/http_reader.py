"""One reader of a stream: a connection that has left the server's care, and what waits to be sent on it."""

import math
import socket
import struct
import time
from collections import deque
from typing import Any

from shared import sse

# Waiting at the beginning of a batch, beside what the kernel holds: who has more does not keep up.
MAX_WAITING = 1 << 20
# So long a reader may take nothing of what waits for it.
STUCK_S = 5.0
DISCARDED_AT_ONCE = 4096

RESET = struct.pack("ii", 1, 0)

LEFT, SLOW, EXPIRED, STOPPING = "left", "slow", "expired", "stopping"


class Reader:
    """`wants`: whatever tells what this reader gets; `expires_at`: Unix time. Its socket never makes anybody wait."""

    __slots__ = ("_sock", "_waiting", "expires_at", "is_chunked", "request_id", "taken_at", "waiting_bytes", "wants")

    def __init__(
        self, sock: Any, wants: Any = None, is_chunked: bool = True, expires_at: float = math.inf, request_id: str = ""
    ) -> None:
        self._sock, self.wants, self.is_chunked, self.expires_at = sock, wants, is_chunked, expires_at
        self.request_id = request_id
        self._waiting: deque[memoryview] = deque()
        self.waiting_bytes = 0
        self.taken_at = time.monotonic()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> str | None:
        """Send `data`, framed as `is_chunked` says, or as much as goes now; returns why the reader is to be let go."""
        if self.waiting_bytes > MAX_WAITING:
            return SLOW
        if not self._waiting:
            self.taken_at = time.monotonic()
        self._waiting.append(memoryview(data))
        self.waiting_bytes += len(data)
        return self.push()

    def push(self) -> str | None:
        """Send what waits, or as much of it as goes now; returns why the reader is to be let go."""
        try:
            while self._waiting:
                part = self._waiting[0]
                sent = self._sock.send(part)
                self.waiting_bytes -= sent
                self.taken_at = time.monotonic()
                if sent == len(part):
                    self._waiting.popleft()
                else:
                    self._waiting[0] = part[sent:]
        except BlockingIOError:
            return SLOW if time.monotonic() - self.taken_at > STUCK_S else None
        except OSError:
            return LEFT
        return None

    def has_left(self) -> bool:
        """Whether the client has closed its side; what it says is of no interest."""
        try:
            return not self._sock.recv(DISCARDED_AT_ONCE)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self, reason: str) -> None:
        """At once. Only a body that is sent to its end gets its end."""
        if reason in (EXPIRED, STOPPING) and self.is_chunked and not self._waiting:
            self.send(sse.LAST_CHUNK)
        self._waiting.clear()
        self.waiting_bytes = 0
        if reason == SLOW:
            # What the kernel holds for it is given back now, not once it is read.
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._sock.close()
