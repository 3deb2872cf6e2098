"""Request bodies: read within a limit of size and time, chunked ones by a strict reader."""

import re
import time
from collections.abc import Mapping
from typing import Any

import eventlet
from eventlet.wsgi import ChunkReadError, Input

from shared.http_connections import Connection
from shared.problems import Problem

PIECE = 1 << 16
BODY_TIMEOUT_S = 60
MAX_CHUNK_LINE = 1024
MAX_TRAILERS = 32
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")
TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*\r\n")


class StrictInput(Input):
    """eventlet's input, but chunk sizes are plain hexadecimal and no line of the framing is read without bound."""

    chunked_input: bool
    chunk_length: int
    position: int
    content_length: int
    client: Connection

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._begun = time.monotonic()

    def read(self, length: int | None = None) -> bytes:
        # However little at a time: what counts is when the body should have begun to come.
        with self.client.awaiting(self._begun):
            data: bytes = super().read(length)
        return data

    @property
    def is_consumed(self) -> bool:
        """Whether the next byte on the connection belongs to the next request."""
        if self.chunked_input:
            return self.chunk_length == 0
        return self.position >= self.content_length

    @property
    def remaining(self) -> float:
        """Bytes still to come; infinite when only the client knows."""
        if self.is_consumed:
            return 0
        return float("inf") if self.chunked_input else self.content_length - self.position

    def discard(self, buffer_size: int = PIECE) -> None:
        """What eventlet calls to reach the next request on the connection; raises TimeoutError."""
        with eventlet.Timeout(BODY_TIMEOUT_S, TimeoutError("the rest of the body took too long")):
            super().discard(buffer_size)

    def _chunked_read(self, rfile: Any, length: int | None = None, use_readline: bool = False) -> bytes:
        if self.should_send_hundred_continue:
            self.send_hundred_continue_response()
            self.is_hundred_continue_response_sent = True
        wanted = float("inf") if length is None or length < 0 else length
        parts = []
        while wanted > 0 and self.chunk_length != 0:
            if self.chunk_length < 0:
                self._begin_chunk(rfile)
                continue
            data = rfile.read(int(min(wanted, self.chunk_length - self.position, PIECE)))
            if not data:
                raise ConnectionResetError("the client left in the middle of a chunk")
            parts.append(data)
            wanted -= len(data)
            self.position += len(data)
            if self.position == self.chunk_length:
                if rfile.readline(3) != b"\r\n":
                    raise ChunkReadError("a chunk is longer than its size")
                self.chunk_length = -1
        return b"".join(parts)

    def _begin_chunk(self, rfile: Any) -> None:
        line = rfile.readline(MAX_CHUNK_LINE)
        match = CHUNK_LINE.fullmatch(line)
        if match is None:
            raise ChunkReadError("no chunk size")
        size = int(match[1], 16)
        if size == 0:
            # Before it counts as read to the end: what follows a malformed trailer is no request.
            self._discard_trailers(rfile)
        self.chunk_length, self.position = size, 0

    def _discard_trailers(self, rfile: Any) -> None:
        for _ in range(MAX_TRAILERS):
            line = rfile.readline(MAX_CHUNK_LINE)
            if line in (b"\r\n", b""):
                return
            if not TRAILER.fullmatch(line):
                raise ChunkReadError("a malformed trailer")
        raise ChunkReadError("too many trailers")


def read_body(environ: Mapping[str, Any], limit: int) -> bytes:
    """The whole body; raises Problem 413 beyond `limit` bytes, 408 when it does not come, 400 when it is cut off."""
    chunked = environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked"
    length = int(environ.get("CONTENT_LENGTH") or 0)
    too_large = Problem(413, f"The body is over the limit of {limit} bytes.")
    if length > limit:
        raise too_large
    if not chunked and length == 0:
        return b""
    stream, parts, size = environ["wsgi.input"], [], 0
    try:
        with eventlet.Timeout(BODY_TIMEOUT_S, TimeoutError("the body took too long")):
            while piece := stream.read(PIECE if chunked else min(PIECE, length - size)):
                parts.append(piece)
                size += len(piece)
                if size > limit:
                    raise too_large
    except ChunkReadError as error:
        raise Problem(400, f"The chunked body is malformed: {error}.") from None
    except TimeoutError:
        raise Problem(408, "The body did not arrive in time.") from None
    except OSError:
        raise Problem(400, "The body was cut off.") from None
    if not chunked and size < length:
        raise Problem(400, "The body is shorter than its Content-Length.")
    return b"".join(parts)
