"""The HTTP API as its callers use it: requests, tokens, bounded waits, and the shapes that every answer shares."""

import base64
import hmac
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

import jwt
import requests
from requests.adapters import HTTPAdapter

Json = dict[str, Any]
T = TypeVar("T")

TIMEOUT = 30.0
# no stack trace, no SQL, no class name ever reaches a client
LEAKS = re.compile(r"Traceback|sqlalchemy|psycopg|nameko|\bSELECT\b|\bINSERT INTO\b|[a-z](Error|Exception)\b")


class Stack(Protocol):
    """A running stack. Its databases are not the tests' business."""

    @property
    def gateway_url(self) -> str: ...
    @property
    def amqp_uri(self) -> str: ...
    @property
    def jwt_secret(self) -> str: ...


class Client:
    """One caller: every request carries the same token (or none)."""

    def __init__(self, base_url: str, token: str | None = None, sub: str = "") -> None:
        self.base_url = base_url.rstrip("/")
        self.sub = sub
        self._session = requests.Session()
        # no proxy and no .netrc of the machine may touch the Authorization header
        self._session.trust_env = False
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=100))
        if token is not None:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def request(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        kwargs.setdefault("timeout", TIMEOUT)
        return self._session.request(method, self.base_url + path, **kwargs)

    def get(self, path: str, headers: dict[str, str] | None = None, **params: Any) -> requests.Response:
        return self.request("GET", path, params=params, headers=headers)

    def post(self, path: str, body: Any = None, **kwargs: Any) -> requests.Response:
        if body is not None:
            kwargs["json"] = body
        return self.request("POST", path, **kwargs)

    def patch(self, path: str, body: Any) -> requests.Response:
        return self.request("PATCH", path, json=body)

    def delete(self, path: str) -> requests.Response:
        return self.request("DELETE", path)

    def pages(self, path: str, **params: Any) -> Iterator[list[Json]]:
        """Each page's items, following `next` to the end."""
        cursor = None
        while True:
            page = ok(self.get(path, **params, **({"cursor": cursor} if cursor else {})))
            assert set(page) == {"items", "next"}
            yield page["items"]
            cursor = page["next"]
            if cursor is None:
                return
            assert isinstance(cursor, str)
            assert cursor

    def all(self, path: str, **params: Any) -> list[Json]:
        return [item for page in self.pages(path, **params) for item in page]


class Api:
    """Makes clients for every role, each with a subject of its own unless one is given."""

    def __init__(self, stack: Stack) -> None:
        self.base_url = stack.gateway_url
        self.secret = stack.jwt_secret
        self.anonymous = Client(self.base_url)

    def client(self, role: str, sub: str | None = None) -> Client:
        sub = str(uuid.uuid4()) if sub is None else sub
        return Client(self.base_url, self.token(role, sub), sub)

    def token(self, role: str, sub: str | None = None) -> str:
        return mint(self.secret, role, str(uuid.uuid4()) if sub is None else sub)

    def operator(self, sub: str | None = None) -> Client:
        return self.client("operator", sub)

    def rider(self, sub: str | None = None) -> Client:
        return self.client("rider", sub)

    def vehicle(self, bike_id: str) -> Client:
        return self.client("vehicle", bike_id)


def mint(secret: str, role: str, sub: str, lifetime: timedelta = timedelta(hours=1)) -> str:
    """A well-formed HS256 token."""
    return jwt.encode({"sub": sub, "role": role, "exp": now() + lifetime}, secret, algorithm="HS256")


def forge(claims: Json, secret: str, algorithm: str = "HS256", digest: str = "sha256") -> str:
    """A token made by hand, so that it may be wrong in ways a JWT library refuses to write."""

    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    signed = part(json.dumps({"typ": "JWT", "alg": algorithm}).encode()) + b"." + part(json.dumps(claims).encode())
    signature = b"" if algorithm.lower() == "none" else hmac.new(secret.encode(), signed, digest).digest()
    return (signed + b"." + part(signature)).decode()


def ok(response: requests.Response, status: int = 200) -> Any:
    """The JSON body of an answer that has to have this status."""
    assert response.status_code == status, f"{response.status_code} {response.text}"
    assert response.headers["Content-Type"].split(";")[0] == "application/json"
    return response.json()


def problem(response: requests.Response, *statuses: int) -> Json:
    """The body of an error answer, which has to be problem+json with one of these statuses."""
    assert response.status_code in statuses, f"{response.status_code} {response.text}"
    assert response.headers["Content-Type"].split(";")[0] == "application/problem+json"
    body = response.json()
    assert body["status"] == response.status_code
    for member in ("type", "title", "detail"):
        assert isinstance(body[member], str), f"{member} is no text in {body}"
        assert body[member]
    assert not LEAKS.search(response.text), response.text
    return body


def errors(response: requests.Response) -> dict[str, list[str]]:
    """The `errors` of a 422: field path to messages."""
    found = problem(response, 422)["errors"]
    assert isinstance(found, dict)
    assert found
    for messages in found.values():
        assert isinstance(messages, list)
        assert messages
        assert all(isinstance(message, str) and message for message in messages)
    return found


def at(found: dict[str, list[str]], path: str) -> bool:
    """Whether there is an error at this field or inside it."""
    return any(field == path or field.startswith(path + ".") for field in found)


def eventually(condition: Callable[[], T | None], timeout: float = 10.0, interval: float = 0.03) -> T:
    """Wait until the condition gives something true (and raises no AssertionError); return that."""
    deadline = time.monotonic() + timeout
    while True:
        failure: AssertionError | None = None
        value: Any = None
        try:
            value = condition()
        except AssertionError as error:
            failure = error
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout} s; last: {failure or value!r}")
        time.sleep(interval)


def now() -> datetime:
    return datetime.now(UTC)


def wait_until(moment: datetime) -> None:
    """Wait until the clock has passed this moment."""
    eventually(lambda: now() > moment, timeout=30)


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    """A time of an answer, which has to be RFC 3339 in UTC with `Z`."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", text), text
    return datetime.fromisoformat(text)


def unique(prefix: str = "e2e") -> str:
    return f"{prefix}-{uuid.uuid4()}"


def unknown_id() -> str:
    return str(uuid.uuid4())
