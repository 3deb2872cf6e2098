import json
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests

from replay.client import OPERATOR, ApiError, Caller, Gateway, Stopped, Unavailable, retry_after_s
from replay.connection import Connection, ConnectionSettingsError, find, parse

SECRET = "s" * 32


def answer(status: int, body: object = None, **headers: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response._content = json.dumps(body).encode()
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return response


class Impatient(threading.Event):
    """Notes what is waited for instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0)
        return self.is_set()


class Doors(requests.Session):
    """Answers from a list, and keeps the requests."""

    def __init__(self, *answers: requests.Response | Exception) -> None:
        super().__init__()
        self.answers = list(answers)
        self.requests: list[dict[str, Any]] = []

    def request(self, method: str | bytes, url: str | bytes, *_: Any, **options: Any) -> requests.Response:
        self.requests.append({"method": method, "url": url, **options})
        given = self.answers.pop(0)
        if isinstance(given, Exception):
            raise given
        return given


def gateway(doors: Doors, stop: threading.Event | None = None) -> Gateway:
    connection = Connection("http://gateway", SECRET)
    return Gateway(connection, stop or Impatient(), connections=1, new_session=lambda: doors)


def test_a_request_carries_the_token_of_its_caller_and_the_key() -> None:
    doors = Doors(answer(201, {"id": "trip"}))
    assert gateway(doors).post("/v1/trips", Caller("rider", "ann"), {"bike_id": "b"}, "key-1") == {"id": "trip"}
    (request,) = doors.requests
    assert (request["method"], request["url"], request["json"]) == ("POST", "http://gateway/v1/trips", {"bike_id": "b"})
    assert request["headers"]["Idempotency-Key"] == "key-1"
    claims = jwt.decode(request["headers"]["Authorization"].removeprefix("Bearer "), SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["role"]) == ("ann", "rider")


def test_passing_troubles_are_retried_and_retry_after_is_honoured() -> None:
    lost = [requests.ConnectionError("reset"), requests.Timeout()]
    stop = Impatient()
    doors = Doors(
        *lost,
        answer(504),
        answer(409, Retry_After="2"),
        answer(429, Retry_After="7"),
        answer(503),
        answer(200, {"ok": True}),
    )
    assert gateway(doors, stop).get("/v1/bikes", OPERATOR) == {"ok": True}
    assert stop.waits == [0.1, 0.2, 0.4, 2.0, 7.0, 3.2]


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 500])
def test_other_answers_are_not_retried(status: int) -> None:
    doors = Doors(answer(status, {"detail": "no", "errors": {"bike_id": ["missing"]}}))
    with pytest.raises(ApiError, match=f"POST /v1/trips: {status} no .*missing") as refused:
        gateway(doors).post("/v1/trips", OPERATOR)
    assert refused.value.status == status
    assert len(doors.requests) == 1


def test_retrying_ends_when_the_patience_does() -> None:
    with pytest.raises(Unavailable, match="503 away; tried for up to 60 s"):
        gateway(Doors(answer(503, {"title": "away"}, Retry_After="61"))).get("/v1/bikes", OPERATOR)


def test_a_stopped_replay_does_not_wait() -> None:
    stop = Impatient()
    stop.set()
    with pytest.raises(Stopped):
        gateway(Doors(answer(503)), stop).get("/v1/bikes", OPERATOR)


def test_an_answer_that_is_no_json_is_refused() -> None:
    page = answer(200)
    page._content = b"<html>"
    with pytest.raises(ApiError, match="not JSON"):
        gateway(Doors(page)).get("/", OPERATOR)


def test_a_list_is_walked_to_its_end() -> None:
    doors = Doors(answer(200, {"items": [1, 2], "next": "c"}), answer(200, {"items": [3], "next": None}))
    assert list(gateway(doors).walk("/v1/bikes", {"status": "retired"})) == [1, 2, 3]
    assert [request["params"] for request in doors.requests] == [
        {"status": "retired", "limit": "500"},
        {"status": "retired", "limit": "500", "cursor": "c"},
    ]


def test_retry_after_is_a_number_or_a_date() -> None:
    assert retry_after_s("3") == 3.0
    assert 50 < retry_after_s(format_datetime(datetime.now(UTC) + timedelta(minutes=1), usegmt=True)) <= 60
    assert retry_after_s(None) == retry_after_s("soon") == retry_after_s("-1") == 0.0


def test_the_connection_is_taken_from_the_argument_then_the_environment_then_the_file(tmp_path: Path) -> None:
    stack = tmp_path / "stack.env"
    stack.write_text(f"GATEWAY_URL=http://file:1/\nJWT_SECRET={SECRET}\n")
    assert find(None, {}, stack) == Connection("http://file:1", SECRET)
    assert find(None, {"GATEWAY_URL": "http://env:2"}, stack).gateway_url == "http://env:2"
    assert find("https://given", {"GATEWAY_URL": "http://env:2"}, stack).gateway_url == "https://given"
    assert find(None, {"JWT_SECRET": "e" * 32}, stack).jwt_secret == "e" * 32
    assert SECRET not in repr(find(None, {}, stack))


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "GATEWAY_URL and JWT_SECRET neither .* start the stack with make up"),
        ({"GATEWAY_URL": "http://a"}, "JWT_SECRET neither"),
        ({"GATEWAY_URL": "http://a", "JWT_SECRET": "short"}, "shorter than 32 bytes"),
        ({"GATEWAY_URL": "127.0.0.1:8000", "JWT_SECRET": SECRET}, "'127.0.0.1:8000' is no URL"),
        ({"GATEWAY_URL": "http://a:99999", "JWT_SECRET": SECRET}, "is no URL"),
    ],
)
def test_a_connection_that_cannot_be_is_refused(tmp_path: Path, environ: dict[str, str], said: str) -> None:
    with pytest.raises(ConnectionSettingsError, match=said):
        find(None, environ, tmp_path / "stack.env")


def test_stack_env_lines_are_names_and_values() -> None:
    assert parse("# A=1\n\nB=2=3\n C = 4 \nrest\n") == {"B": "2=3", "C": "4"}
