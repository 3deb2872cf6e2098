"""The public HTTP doors of the gateway, for many threads: tokens, a bound on open connections, retries."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from queue import LifoQueue
from typing import Any, NamedTuple

import jwt
import requests

from replay.connection import Connection

RETRIED = (429, 503, 504)
TIMEOUT_S = (5, 30)
TOKEN_LIFE_S = 3600
LONGEST_BACKOFF_S = 5.0
PROBE_PATIENCE_S = 5.0

# the status of one attempt (None when there was no answer), and its seconds
Observer = Callable[[int | None, float], None]


class ApiError(Exception):
    """An answer that is no success and is not worth repeating."""

    def __init__(self, request: str, status: int, detail: str) -> None:
        super().__init__(f"{request}: {status} {detail}")
        self.status = status


class Unavailable(Exception):
    """The gateway gave no usable answer for as long as it was asked."""


class Stopped(Exception):
    """The replay is being stopped."""


class Caller(NamedTuple):
    """Who asks: the claims of the token."""

    role: str
    subject: str


OPERATOR = Caller("operator", "replay")


class Gateway:
    """One gateway. `stop`, once set, ends every wait with Stopped."""

    def __init__(
        self,
        connection: Connection,
        stop: threading.Event,
        *,
        connections: int = 16,
        patience_s: float = 60.0,
        new_session: Callable[[], requests.Session] = requests.Session,
        observe: Observer | None = None,
    ) -> None:
        """`observe` is told of each attempt by the thread that made it."""
        self.connection = connection
        self.observe = observe
        self.stop = stop
        self.patience_s = patience_s
        self._idle: LifoQueue[requests.Session] = LifoQueue()
        for _ in range(connections):
            session = new_session()
            # a proxy or a netrc meant for the internet must neither carry nor replace what goes to the gateway
            session.trust_env = False
            self._idle.put(session)

    def probe(self) -> None:
        """Raises Unavailable soon, rather than after `patience_s`, when nothing answers."""
        self.call("GET", "/", OPERATOR, patience_s=PROBE_PATIENCE_S)

    def get(self, path: str, caller: Caller, params: Mapping[str, str] | None = None) -> Any:
        return self.call("GET", path, caller, params=params)

    def post(self, path: str, caller: Caller, body: object = None, key: str | None = None) -> Any:
        """`key` is the Idempotency-Key."""
        return self.call("POST", path, caller, body=body, key=key)

    def walk(self, path: str, params: Mapping[str, str]) -> Iterator[Any]:
        """Every item of a list, page after page, as operator."""
        cursor: str | None = None
        while True:
            page = self.get(path, OPERATOR, {**params, "limit": "500", **({"cursor": cursor} if cursor else {})})
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def call(
        self,
        method: str,
        path: str,
        caller: Caller,
        *,
        body: object = None,
        params: Mapping[str, str] | None = None,
        key: str | None = None,
        patience_s: float | None = None,
    ) -> Any:
        """The decoded answer of one request; lost connections and 429, 503, 504 are retried.

        Every request of a replay may be repeated without a second effect: starts carry a key, positions are stored
        once, an end asked again answers the same. Raises ApiError, Stopped, and after `patience_s` (by default the
        gateway's) Unavailable.
        """
        request = f"{method} {path}"
        headers = {"Idempotency-Key": key} if key else {}
        patience = self.patience_s if patience_s is None else patience_s
        deadline = time.monotonic() + patience
        backoff = 0.1
        while True:
            wait = backoff
            try:
                response = self._send(method, path, caller, headers, body, params)
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                trouble = f"no answer ({_root(error)})"
            except requests.RequestException as error:
                raise Unavailable(f"{request}: {error}") from error
            else:
                # a 409 that says when to come back means that the first of two equal requests is still at work
                in_progress = response.status_code == 409 and "Retry-After" in response.headers
                if response.status_code not in RETRIED and not in_progress:
                    return _decode(request, response)
                trouble = f"{response.status_code} {_detail(response)}"
                wait = max(backoff, retry_after_s(response.headers.get("Retry-After")))
            if time.monotonic() + wait > deadline:
                raise Unavailable(f"{request}: {trouble}; tried for up to {patience:.0f} s")
            self.pause(wait)
            backoff = min(2 * backoff, LONGEST_BACKOFF_S)

    def pause(self, seconds: float) -> None:
        """Sleeps; raises Stopped as soon as the replay is being stopped."""
        if self.stop.wait(max(seconds, 0)):
            raise Stopped

    def _send(
        self,
        method: str,
        path: str,
        caller: Caller,
        headers: Mapping[str, str],
        body: object,
        params: Mapping[str, str] | None,
    ) -> requests.Response:
        url = self.connection.gateway_url + path
        authorized = {**headers, "Authorization": f"Bearer {self.token(caller)}"}
        session = self._idle.get()
        began = time.monotonic()
        status: int | None = None
        try:
            response = session.request(method, url, params=params, json=body, headers=authorized, timeout=TIMEOUT_S)
            status = response.status_code
            return response
        finally:
            self._idle.put(session)
            if self.observe is not None:
                self.observe(status, time.monotonic() - began)

    def token(self, caller: Caller) -> str:
        claims = {
            **self.connection.claims,
            "sub": caller.subject,
            "role": caller.role,
            "exp": int(time.time()) + TOKEN_LIFE_S,
        }
        return jwt.encode(claims, self.connection.jwt_secret, algorithm="HS256")


def retry_after_s(value: str | None) -> float:
    """The seconds that a Retry-After header asks for (a number or an HTTP date); 0 when absent or unreadable."""
    if value is None:
        return 0.0
    if value.strip().isdecimal():
        return float(value)
    try:
        return max((parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return 0.0


def _decode(request: str, response: requests.Response) -> Any:
    if not response.ok:
        raise ApiError(request, response.status_code, _detail(response))
    try:
        return response.json()
    except requests.JSONDecodeError as error:
        raise ApiError(request, response.status_code, "with a body that is not JSON") from error


def _detail(response: requests.Response) -> str:
    try:
        problem = response.json()
    except requests.JSONDecodeError:
        return response.reason
    if not isinstance(problem, dict):
        return response.reason
    said = problem.get("detail") or problem.get("title") or response.reason
    return f"{said} {problem['errors']}" if problem.get("errors") else str(said)


def _root(error: BaseException) -> str:
    """The last cause in an error of requests: the only part of its text that a reader can use."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error) or type(error).__name__
