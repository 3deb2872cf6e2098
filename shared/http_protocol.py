"""HTTP/1.1 on a connection: a strict parser of request heads, whose refusals are problem documents.

It replaces the standard library's, which lets through what proxies read differently (a header line without a
colon, `Content-Length: +5`, two lengths), and eventlet's, which answers such requests with bare text.
"""

import os
import re
from contextlib import suppress
from http.client import responses
from typing import Any

import eventlet
from eventlet.wsgi import STATE_CLOSE, STATE_REQUEST, HttpProtocol

from shared.http_connections import Connection
from shared.http_input import StrictInput
from shared.listening import plain_socket
from shared.problems import Problem

MAX_LINE = 8192
MAX_HEAD = 65536
MAX_FIELDS = 100
HEAD_TIMEOUT_S = 30
LINGER_S = 5
LINGER_BYTES = 64 << 20

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([\x21-\x7e]+) HTTP/(\d)\.(\d)\r\n")
FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*\r\n")
ABSOLUTE_TARGET = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
# A second one of these would be read by one party and not by another.
ONCE = frozenset({"host", "content-length", "content-type", "transfer-encoding", "authorization", "idempotency-key"})


class Fields:
    """The header fields of a request, as eventlet's wsgi module asks for them."""

    def __init__(self) -> None:
        self._headers: list[tuple[str, str]] = []
        self._first: dict[str, str] = {}

    def add(self, name: str, value: str) -> None:
        """Raises Problem 400 for the second of a field that may stand once."""
        key = name.lower()
        if key in ONCE and key in self._first:
            raise Problem(400, f"The header {name} is given twice.")
        self._headers.append((name, value))
        self._first.setdefault(key, value)

    def get(self, name: str, default: str | None = None) -> str | None:
        return self._first.get(name.lower(), default)

    def get_content_type(self) -> str:
        """What eventlet falls back on without the header; its `text/plain` would be a guess."""
        return ""


class StrictProtocol(HttpProtocol):
    """One connection; the server is told of it by `conn_state`, the application by `environ["http.connection"]`."""

    server: Any
    conn_state: Connection
    headers: Any
    environ: dict[str, Any]
    request_version = "HTTP/1.1"
    command = path = requestline = ""
    may_have_unread_input = is_handed_over = False

    def handle_one_request(self) -> None:
        # Nothing of a request has come yet: the connection is idle, and may be closed at any time.
        if not self._await_first_byte():
            self.close_connection = True
            return
        if self.conn_state[2] != STATE_CLOSE:
            self.conn_state[2] = STATE_REQUEST
        try:
            with (
                eventlet.Timeout(HEAD_TIMEOUT_S, TimeoutError("the head took too long")),
                self.conn_state.awaiting(),
            ):
                arrived = self.parse_request()
        except TimeoutError:
            self._refuse(Problem(408, "The request did not arrive in time."))
            return
        except Problem as problem:
            self._refuse(problem)
            return
        if not arrived:
            self.close_connection = True
            return
        self.environ = self.get_environ()
        self.application = self.server.app
        try:
            self.handle_one_response()
        finally:
            self.conn_state.end_answer()
        if self.close_connection and not self.is_handed_over and not self.environ["eventlet.input"].is_consumed:
            self.may_have_unread_input = True

    def _await_first_byte(self) -> bool:
        self.conn_state.become_idle()
        self.connection.settimeout(self.server.keepalive)
        try:
            return bool(self.rfile.peek(1))
        except TimeoutError:
            return False
        finally:
            self.connection.settimeout(self.server.socket_timeout)

    def parse_request(self) -> bool:
        """Read a request's head; False when the client left before its end. Raises Problem."""
        self.close_connection = True
        line = self.rfile.readline(MAX_LINE + 1)
        if line == b"\r\n":
            line = self.rfile.readline(MAX_LINE + 1)
        if len(line) > MAX_LINE:
            raise Problem(414, f"The request line is longer than {MAX_LINE} bytes.")
        if not line.endswith(b"\n"):
            return False
        self._parse_line(line)
        self.headers = Fields()
        size = 0
        while True:
            line = self.rfile.readline(MAX_LINE + 1)
            size += len(line)
            if line == b"\r\n":
                break
            if len(line) > MAX_LINE or size > MAX_HEAD or len(self.headers._headers) >= MAX_FIELDS:
                raise Problem(431, "The request's headers are too large.")
            if not line.endswith(b"\n"):
                return False
            match = FIELD.fullmatch(line)
            if match is None:
                raise Problem(400, "A header line is malformed.")
            self.headers.add(match[1].decode("ascii"), match[2].decode("latin-1"))
        self._judge_framing()
        return True

    def _parse_line(self, line: bytes) -> None:
        match = REQUEST_LINE.fullmatch(line)
        if match is None:
            raise Problem(400, "The request line is malformed.")
        if match[3] != b"1":
            raise Problem(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
        self.requestline = line.decode("ascii").rstrip("\r\n")
        self.command, target = match[1].decode("ascii"), match[2].decode("ascii")
        self.path = (ABSOLUTE_TARGET.sub("", target, count=1) or "/") if "://" in target else target
        self.request_version = "HTTP/1.0" if match[4] == b"0" else "HTTP/1.1"

    def _judge_framing(self) -> None:
        coding, length = self.headers.get("transfer-encoding"), self.headers.get("content-length")
        if self.request_version == "HTTP/1.1" and self.headers.get("host") is None:
            raise Problem(400, "The header Host is missing.")
        if length is not None and not re.fullmatch(r"[0-9]{1,18}", length):
            raise Problem(400, "The header Content-Length is not a number of bytes.")
        if coding is not None and (coding.lower() != "chunked" or self.request_version == "HTTP/1.0"):
            raise Problem(400, "The only transfer coding is chunked, and it needs HTTP/1.1.")
        if coding is not None and length is not None:
            raise Problem(400, "Content-Length and Transfer-Encoding exclude each other.")
        wish = [option.strip() for option in (self.headers.get("connection") or "").lower().split(",")]
        self.close_connection = "close" in wish or (self.request_version == "HTTP/1.0" and "keep-alive" not in wish)

    def get_environ(self) -> dict[str, Any]:
        env: dict[str, Any] = super().get_environ()
        env["SERVER_PROTOCOL"] = self.request_version
        stock = env["wsgi.input"]
        env["wsgi.input"] = env["eventlet.input"] = StrictInput(
            self.rfile, stock.content_length, self.connection, stock.wfile, stock.wfile_line, stock.chunked_input
        )
        env["wsgi.input"].client = self.conn_state
        env["http.connection"] = self
        return env

    def _refuse(self, problem: Problem) -> None:
        self.close_connection = self.may_have_unread_input = True
        response = self.server.app.refuse(problem, self.command, self.path)
        body = b"" if self.command == "HEAD" else response.get_data()
        lines = [f"HTTP/1.1 {response.status_code} {responses.get(response.status_code, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in response.headers.items()]
        self.conn_state.begin_answer()
        try:
            self.wfile.write("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body)
            self.wfile.flush()
        finally:
            self.conn_state.end_answer()

    def hand_over(self, head: bytes) -> Any:
        """Send an answer's head, and return a plain socket of the connection, which lives on without this server."""
        sock = plain_socket(fileno=os.dup(self.connection.fileno()))
        try:
            self.wfile.write(head)
            self.wfile.flush()
        except BaseException:  # whatever it is, the descriptor would stay open; raised again
            sock.close()
            raise
        self.is_handed_over = self.close_connection = True
        return sock

    def finish(self) -> None:
        try:
            # After handing over, closing is of this descriptor; a shutdown would be of the connection.
            if not self.is_handed_over:
                if self.may_have_unread_input:
                    self._linger()
                super().finish()
        finally:
            # Either may fail when the client is gone; a file that stays open then keeps the socket's descriptor.
            for file in (self.wfile, self.rfile):
                with suppress(OSError):
                    file.close()

    def _linger(self) -> None:
        """Let the client send on for a moment: closing at once would reset it before it has read the answer."""
        self.wfile.flush()
        self.connection.shutdown(1)
        with eventlet.Timeout(LINGER_S, False), self.conn_state.awaiting():
            read = 0
            while read < LINGER_BYTES and (data := self.connection.recv(1 << 16)):
                read += len(data)
