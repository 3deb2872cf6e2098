"""JSON and queries that mean harm, on every route that takes them, while others want to be served."""

import json

import pytest

from gateway_service.openapi import routes_of
from gateway_service.service import GatewayService
from tests.doors.flood import Probe
from tests.e2e.client import Api, Client, problem, unknown_id

HOSTILE_JSON = {
    "brackets": b"[" * 100_000 + b"]" * 100_000,
    "braces": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "brackets that stay open": b"[" * 100_000,
    "1e400": b'{"location": {"type": "Point", "coordinates": [1e400, 0]}, "battery_percent": 1e400}',
    "-1e400": b'{"battery_percent": -1e400}',
    "400 digits": b'{"battery_percent": ' + b"9" * 400 + b"}",
    "5000 digits": b'{"battery_percent": ' + b"9" * 5000 + b"}",
    "400 decimals": b'{"battery_percent": 200.' + b"9" * 400 + b"}",
    "one name twice": b'{"bike_id": 1, "bike_id": 2, "name": "a", "name": "b"}',
    "one name twice, escaped": b'{"name": "a", "n\\u0061me": "b"}',
    "a NUL": b'{"name": "a\\u0000b"}',
    "NUL bytes": b'{"name": "a\x00b"}\x00',
    "half a surrogate pair": b'{"name": "\\ud800"}',
    "invalid UTF-8": b'{"name": "\xff\xfe"}',
    "an overlong slash": b'{"name": "\xc0\xaf"}',
    "a byte order mark": b'\xef\xbb\xbf{"name": "a"}',
    "NaN": b'{"battery_percent": NaN}',
    "a list": b"[]",
    "a text": b'"text"',
    "null": b"null",
    "many names": json.dumps({f"n{number}": number for number in range(20_000)}).encode(),
    "a class": b'{"__proto__": {"role": "operator"}, "constructor": 1, "__class__": "x"}',
}
WITH_BODY = [route for _, route in routes_of(GatewayService) if route.body is not None]


@pytest.mark.parametrize("route", WITH_BODY, ids=[f"{route.method} {route.path}" for route in WITH_BODY])
def test_hostile_json_is_refused_on_every_route_and_harms_nobody(api: Api, others: Probe, route) -> None:
    role = "operator" if "operator" in route.roles else "rider"
    client = api.client(role)
    path = route.path
    for name in route.parameters:
        path = path.replace(f"{{{name}}}", unknown_id())
    for name, body in HOSTILE_JSON.items():
        response = client.request(route.method, path, data=body, headers={"Content-Type": "application/json"})
        assert response.status_code in (400, 422), f"{name}: {response.status_code} {response.text}"
        problem(response, 400, 422)


HOSTILE_QUERIES = [
    "%00",
    "%ff",
    "%ed%a0%80",
    "1e400",
    "9" * 400,
    "-0",
    "NaN",
    "%E2%80%AE",
    "'; DROP TABLE bikes;--",
    "a" * 7000,
]
WITH_QUERY = [
    (route.path, name)
    for _, route in routes_of(GatewayService)
    if route.query is not None
    for name in route.query.fields
]


@pytest.mark.parametrize(("path", "name"), WITH_QUERY)
def test_hostile_queries_are_answered(operator: Client, path: str, name: str) -> None:
    for value in HOSTILE_QUERIES:
        response = operator.request("GET", f"{path}?{name}={value}")
        if response.status_code != 200:  # any text is a rider's id
            problem(response, 422)
        else:
            assert name == "rider_id", value
