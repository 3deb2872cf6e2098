"""Conventions (HTTP): which status a bad request gets, always as problem+json, and X-Request-ID."""

import json
import uuid

import pytest

from tests.e2e.client import Api, Client, Json, iso, now, ok, problem, unique, unknown_id
from tests.e2e.geo import far_away, point

MIB = 1024 * 1024

JSON = {"Content-Type": "application/json"}

POSTS = [("operator", "/v1/bikes"), ("operator", "/v1/positions"), ("rider", "/v1/trips")]

MALFORMED = {
    "cut off": b'{"name": "x"',
    "single quotes": b"{'name': 'x'}",
    "trailing text": b'{"name": "x"} more',
    "two documents": b'{"name": "x"}{"name": "y"}',
    "trailing comma": b'{"name": "x",}',
    "NaN": b'{"battery_percent": NaN}',
    "Infinity": b'{"battery_percent": Infinity}',
    "minus Infinity": b'{"battery_percent": -Infinity}',
    "NaN deep inside": b'{"location": {"type": "Point", "coordinates": [NaN, 1]}}',
    "invalid UTF-8": b'{"name": "caf\xe9"}',
    "overlong UTF-8": b'{"name": "\xc0\xaf"}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "UTF-16 without a mark": '{"name": "x"}'.encode("utf-16-le"),
    "control character in a string": b'{"name": "a\nb"}',
    "very deep": b"[" * 100_000,
}


@pytest.mark.parametrize(("role", "path"), POSTS)
@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_json_is_400(api: Api, role: str, path: str, body: bytes) -> None:
    problem(api.client(role).post(path, data=body, headers=JSON), 400)


@pytest.mark.parametrize(
    "body",
    [
        b'{"location": {"type": "Point", "coordinates": [1e400, 0]}}',
        b'{"battery_percent": 1e400}',
        b'{"battery_percent": ' + b"9" * 5000 + b"}",
        b'{"name": "\\ud800"}',
        b'{"name": "a\\u0000b"}',
        b'{"battery_percent": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
    ids=["overflowing coordinate", "overflowing number", "5000 digits", "lone surrogate", "NUL", "deep nesting"],
)
def test_json_that_no_value_can_hold_is_refused_not_a_500(operator: Client, body: bytes) -> None:
    problem(operator.post("/v1/bikes", data=body, headers=JSON), 400, 422)


@pytest.mark.parametrize("key", ["", "x" * 256, "two words"], ids=["empty", "256 characters", "space"])
@pytest.mark.parametrize(("role", "path"), [("operator", "/v1/bikes"), ("rider", "/v1/trips")])
def test_a_malformed_header_is_400(api: Api, role: str, path: str, key: str, bike: Json) -> None:
    body = {"bike_id": bike["id"]} if role == "rider" else {"name": unique()}
    problem(api.client(role).post(path, body, headers={"Idempotency-Key": key}), 400)


@pytest.mark.parametrize("authorization", [None, "Bearer", "Bearer garbage", "Bearer a.b.c", "Basic dTpw", "garbage"])
def test_no_or_a_bad_token_is_401(anonymous: Client, authorization: str | None) -> None:
    headers = {"Authorization": authorization} if authorization else None
    response = anonymous.get("/v1/trips", headers=headers)
    problem(response, 401)
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_the_wrong_role_is_403(rider: Client) -> None:
    problem(rider.post("/v1/bikes", {"name": unique()}), 403)


UNKNOWN = [
    ("GET", "/nothing"),
    ("GET", "/v1"),
    ("GET", "/v1/nothing"),
    ("GET", "/v2/bikes"),
    *(
        (method, path.format(id=id_))
        for method, path in [
            ("GET", "/v1/bikes/{id}"),
            ("PATCH", "/v1/bikes/{id}"),
            ("DELETE", "/v1/bikes/{id}"),
            ("GET", "/v1/trips/{id}"),
            ("GET", "/v1/trips/{id}/route"),
            ("POST", "/v1/trips/{id}/end"),
            ("POST", "/v1/trips/{id}/cancel"),
        ]
        for id_ in ("00000000-0000-4000-8000-000000000000", "no-uuid", "123", "%00", "%ff", "%27%3B--")
    ),
    ("POST", "/v1/bikes/no-uuid/positions"),
]


@pytest.mark.parametrize(("method", "path"), UNKNOWN)
def test_unknown_routes_and_ids_are_404(operator: Client, method: str, path: str) -> None:
    bodies: dict[str, Json] = {"PATCH": {"name": unique()}}
    if path.endswith("/positions"):
        bodies["POST"] = {"positions": [{"recorded_at": iso(now()), "location": point(far_away())}]}
    problem(operator.request(method, path, json=bodies.get(method)), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/ping", {"GET"}),
        ("DELETE", "/health", {"GET"}),
        ("PUT", "/v1/bikes", {"GET", "POST"}),
        ("DELETE", "/v1/bikes", {"GET", "POST"}),
        ("PUT", "/v1/bikes/{id}", {"GET", "PATCH", "DELETE"}),
        ("GET", "/v1/bikes/{id}/positions", {"POST"}),
        ("GET", "/v1/positions", {"POST"}),
        ("PATCH", "/v1/trips", {"GET", "POST"}),
        ("DELETE", "/v1/trips/{id}", {"GET"}),
        ("GET", "/v1/trips/{id}/end", {"POST"}),
        ("GET", "/v1/trips/{id}/cancel", {"POST"}),
        ("POST", "/v1/trips/{id}/route", {"GET"}),
    ],
)
def test_another_method_is_405_with_allow(operator: Client, method: str, path: str, allowed: set[str]) -> None:
    response = operator.request(method, path.format(id=unknown_id()))
    problem(response, 405)
    listed = {name.strip() for name in response.headers["Allow"].split(",")}
    assert listed - {"HEAD", "OPTIONS"} == allowed


def test_what_the_state_forbids_is_409(operator: Client, bike: Json) -> None:
    problem(operator.post("/v1/bikes", {"name": bike["name"]}), 409)


def padded(body: Json, size: int) -> bytes:
    """The body as JSON of exactly this many bytes."""
    return json.dumps(body).encode().ljust(size)


def test_a_body_of_up_to_1_mib_is_taken(operator: Client) -> None:
    ok(operator.post("/v1/bikes", data=padded({"name": unique()}, MIB), headers=JSON), 201)


@pytest.mark.parametrize(("role", "path"), [("operator", "/v1/bikes"), ("rider", "/v1/trips")])
def test_a_body_over_1_mib_is_413(api: Api, role: str, path: str) -> None:
    problem(api.client(role).post(path, data=padded({}, MIB + 1), headers=JSON), 413)


@pytest.mark.parametrize("path", ["/v1/positions", "/v1/bikes/{id}/positions"])
def test_telemetry_may_have_8_mib(operator: Client, bike: Json, path: str) -> None:
    position: Json = {"recorded_at": iso(now()), "location": point(far_away())}
    if path == "/v1/positions":
        position["bike_id"] = bike["id"]
    path = path.format(id=bike["id"])
    ok(operator.post(path, data=padded({"positions": [position]}, 8 * MIB), headers=JSON), 202)
    problem(operator.post(path, data=padded({"positions": [position]}, 8 * MIB + 1), headers=JSON), 413)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml"])
@pytest.mark.parametrize(("role", "path"), POSTS)
def test_a_body_that_is_not_json_is_415(api: Api, role: str, path: str, content_type: str) -> None:
    problem(api.client(role).post(path, data=b"{}", headers={"Content-Type": content_type}), 415)


def test_json_may_name_its_charset(operator: Client) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    name = unique("Vélo ☃")
    body = json.dumps({"name": name}, ensure_ascii=False).encode()
    bike = ok(operator.post("/v1/bikes", data=body, headers=headers), 201)
    assert ok(operator.get(f"/v1/bikes/{bike['id']}"))["name"] == name


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/bikes"),
        ("GET", "/ping"),
        ("GET", "/v1/trips"),
        ("GET", "/nothing"),
        ("GET", "/v1/bikes/00000000-0000-4000-8000-000000000000"),
        ("PUT", "/v1/bikes"),
        ("GET", "/v1/bikes?limit=0"),
    ],
)
def test_the_request_id_is_returned_with_every_answer(anonymous: Client, method: str, path: str) -> None:
    request_id = str(uuid.uuid4())
    response = anonymous.request(method, path, headers={"X-Request-ID": request_id})
    assert response.headers["X-Request-ID"] == request_id


def test_a_request_without_an_id_gets_one_of_its_own(anonymous: Client) -> None:
    ids = [anonymous.get("/v1/bikes", limit="1").headers["X-Request-ID"] for _ in range(2)]
    assert ids[0]
    assert ids[1]
    assert ids[0] != ids[1]
