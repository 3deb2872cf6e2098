"""An answer without an end: once its head is sent, the connection belongs to `shared.http_readers`."""

import math
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from http.client import responses
from typing import Any
from wsgiref.handlers import format_date_time

from eventlet.wsgi import WSGI_LOCAL
from werkzeug.wrappers import Response

from shared import sse
from shared.errors import Unavailable
from shared.http_reader import Reader
from shared.http_readers import Readers
from shared.jwt import Identity

RETRY_AFTER_S = 10


@dataclass(frozen=True)
class StreamAnswer:
    """What a method returns to open a stream.

    `wants`: whatever tells what this reader gets; `first`: what is sent before all else, asked for when it is sent.
    """

    readers: Readers
    wants: Hashable
    first: Callable[[], bytes]

    def response(self, request_id: str, identity: Identity | None) -> "StreamResponse":
        """Raises Unavailable when there is no room for another reader."""
        if not self.readers.has_room():
            raise Unavailable("Too many streams are open.", {"retry_after": RETRY_AFTER_S})
        return StreamResponse(self, request_id, identity)


class StreamResponse(Response):
    """Takes the connection away from the server when it is its turn to answer."""

    def __init__(self, answer: StreamAnswer, request_id: str, identity: Identity | None) -> None:
        # For a proxy that would gather what comes: nginx's name for it, which others know too.
        super().__init__(content_type=sse.MEDIA_TYPE, headers={"X-Accel-Buffering": "no"})
        self._answer, self._request_id, self._identity = answer, request_id, identity

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "HEAD":
            return super().__call__(environ, start_response)
        is_chunked = environ["SERVER_PROTOCOL"] == "HTTP/1.1"
        self.headers["Date"] = format_date_time(time.time())
        self.headers["Connection"] = "close"
        if is_chunked:
            self.headers["Transfer-Encoding"] = "chunked"
        lines = [f"HTTP/1.1 {self.status_code} {responses[self.status_code]}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        sock = environ["http.connection"].hand_over(head)
        expires_at = math.inf if self._identity is None else self._identity.expires
        reader = Reader(sock, self._answer.wants, is_chunked, expires_at, self._request_id)
        self._answer.readers.add(reader, self._answer.first())
        WSGI_LOCAL.already_handled = True
        return []
