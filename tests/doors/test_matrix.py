"""Every route against every kind of caller, on a gateway with a shared secret and on one with public keys."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from nameko.extensions import ENTRYPOINT_EXTENSIONS_ATTR

from gateway_service.service import GatewayService
from shared.http import HttpEntrypoint
from tests.doors.conftest import AUDIENCE, ISSUER, KeyedGateway
from tests.doors.matrix import BAD_TOKENS, CALLERS, RULES, Rule
from tests.e2e.client import Api, Client, Json, Stack, forge, ok, problem, unknown_id
from tests.waiting import eventually

DECLARED = {
    (entrypoint.route.method, entrypoint.route.path): entrypoint.route
    for name in dir(GatewayService)
    for entrypoint in getattr(getattr(GatewayService, name), ENTRYPOINT_EXTENSIONS_ATTR, ())
    if isinstance(entrypoint, HttpEntrypoint)
}
ROUTES = sorted(DECLARED)
FOREIGN = {"RS256": rsa.generate_private_key(65537, 2048), "ES256": ec.generate_private_key(ec.SECP256R1())}
KEYS = ("HS256", "RS256", "ES256")


def test_every_declared_route_has_a_rule_and_every_rule_a_route() -> None:
    assert set(DECLARED) == set(RULES)


@dataclass
class Scene:
    """A rider in a trip, and a free bike; `token` makes what a caller of the matrix would send."""

    token: Callable[[str], str | None]
    base_url: str
    ids: dict[str, str]

    def call(self, method: str, path: str, rule: Rule, caller: str) -> requests.Response:
        client = Client(self.base_url, self.token(caller))
        with client.request(method, self.filled(path), json=self.made(rule.body), stream=rule.endless) as response:
            if response.status_code >= 400:
                assert response.content, "read before it is closed"
            return response

    def state(self, operator: Client) -> list[Json]:
        """The bike and the trip, as they are now."""
        return [ok(operator.get(self.filled(path))) for path in ("/v1/bikes/{bike_id}", "/v1/trips/{trip_id}")]

    def filled(self, text: str) -> str:
        for name, value in self.ids.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def made(self, body: Any) -> Any:
        """`body` with its ids, and with times of now in its positions."""
        if body is None:
            return None
        made = json.loads(self.filled(json.dumps(body)))
        for position in made.get("positions", ()):
            position["recorded_at"] = datetime.now(UTC).isoformat()
        return made


def claims_of(caller: str, ids: dict[str, str]) -> Json:
    role = caller.removeprefix("other ") if caller not in BAD_TOKENS else "operator"
    subject = {
        "rider": ids["rider_id"],
        "vehicle": ids["bike_id"],
        "other vehicle": unknown_id(),
    }.get(caller, f"{caller} {unknown_id()}")
    claims: Json = {"sub": subject, "role": role, "exp": int(time.time()) + 600}
    if caller == "expired":
        claims["exp"] -= 1200
    if caller == "unknown role":
        claims["role"] = "admin"
    if caller.startswith("without "):
        del claims[caller.removeprefix("without ")]
    return claims


def hs256_token(stack: Stack, keyed: KeyedGateway, caller: str, claims: Json) -> str:
    secret = stack.jwt_secret
    match caller:
        case "wrong signature":
            return forge(claims, "x" * 64)
        case "alg none":
            return forge(claims, secret, "none")
        case "HS256 with the public key":
            return forge(claims, keyed.public_pem.decode())
    return forge(claims, secret)


def keyed_token(keyed: KeyedGateway, algorithm: str, caller: str, claims: Json) -> str:
    addressed = {"aud": AUDIENCE, "iss": ISSUER, **claims}
    match caller:
        case "wrong signature":
            return keyed.token(claims, algorithm, FOREIGN[algorithm])
        case "alg none":
            return forge(addressed, "", "none")
        case "HS256 with the public key":
            return forge(addressed, keyed.public_pem.decode())
        case "wrong audience":
            return keyed.token({**claims, "aud": "another service"}, algorithm)
    return keyed.token(claims, algorithm)


@pytest.fixture
def scene_of(stack: Stack, api: Api, keyed: KeyedGateway, add_bike: Callable[..., Json]) -> Callable[[str], Scene]:
    def build(key: str) -> Scene:
        rider = api.rider()
        trip = ok(rider.post("/v1/trips", {"bike_id": add_bike()["id"]}), 201)
        ids = {"bike_id": add_bike()["id"], "trip_id": trip["id"], "rider_id": rider.sub}

        def token(caller: str) -> str | None:
            if caller == "no token":
                return None
            claims = claims_of(caller, ids)
            if key == "HS256":
                return hs256_token(stack, keyed, caller, claims)
            return keyed_token(keyed, key, caller, claims)

        return Scene(token, stack.gateway_url if key == "HS256" else keyed.url, ids)

    return build


def callers_for(key: str) -> list[str]:
    # Without a configured audience there is no wrong one.
    return [caller for caller in CALLERS if not (key == "HS256" and caller == "wrong audience")]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(("method", "path"), ROUTES, ids=[f"{method} {path}" for method, path in ROUTES])
def test_the_matrix(scene_of: Callable[[str], Scene], operator: Client, method: str, path: str, key: str) -> None:
    rule = RULES[method, path]
    refused = [caller for caller in callers_for(key) if rule.expected(caller) >= 400]
    scene = scene_of(key)
    before = scene.state(operator)
    for caller in refused:
        check_refusal(cell(scene, method, path, caller), caller)
    assert scene.state(operator) == before
    for caller in set(callers_for(key)) - set(refused):
        # What one has done must not stand in the way of the next.
        cell(scene if method == "GET" else scene_of(key), method, path, caller)


def cell(scene: Scene, method: str, path: str, caller: str) -> requests.Response:
    rule = RULES[method, path]
    response = scene.call(method, path, rule, caller)
    told = response.text if response.status_code >= 400 else ""
    assert response.status_code == rule.expected(caller), f"{caller}: {response.status_code} {told}"
    return response


def check_refusal(response: requests.Response, caller: str) -> None:
    problem(response, response.status_code)
    assert response.headers["Cache-Control"] == "no-store"
    challenge = response.headers.get("WWW-Authenticate", "")
    if response.status_code == 401:
        assert challenge.startswith('Bearer realm="')
        assert ("invalid_token" in challenge) == (caller != "no token"), challenge


@pytest.mark.parametrize(
    ("claim", "value"), [("iss", "https://login.example.com"), ("aud", ["a", "b"]), ("aud", ""), ("iss", "")]
)
def test_a_token_of_another_issuer_or_for_others_is_refused(keyed: KeyedGateway, claim: str, value: Any) -> None:
    claims = {"sub": "olga", "role": "operator", "exp": int(time.time()) + 600}
    ok(Client(keyed.url, keyed.token({**claims, "aud": [AUDIENCE, "b"]})).get("/v1/trips"))
    problem(Client(keyed.url, keyed.token({**claims, claim: value})).get("/v1/trips"), 401)


TRIP_ROUTES = [(method, path) for method, path in ROUTES if "{trip_id}" in path]
TOLD = {"X-Request-ID", "Date"}


@pytest.mark.parametrize(("method", "path"), TRIP_ROUTES)
@pytest.mark.parametrize("headers", [{}, {"Accept": "application/gpx+xml"}], ids=["json", "gpx"])
@pytest.mark.parametrize("body", [None, {}, {"location": {"type": "Point", "coordinates": [0, 0]}}, {"x": 1}])
def test_anothers_trip_answers_just_as_no_trip_does(
    api: Api, trip: Json, rider: Client, method: str, path: str, headers: dict[str, str], body: Json | None
) -> None:
    other = api.rider()
    theirs, unknown = (
        other.request(method, path.replace("{trip_id}", trip_id), json=body, headers=headers)
        for trip_id in (trip["id"], unknown_id())
    )
    assert theirs.status_code == unknown.status_code
    assert theirs.text == unknown.text
    assert set(theirs.headers) == set(unknown.headers)
    assert {k: v for k, v in theirs.headers.items() if k not in TOLD} == {
        k: v for k, v in unknown.headers.items() if k not in TOLD
    }
    assert ok(rider.get(f"/v1/trips/{trip['id']}"))["status"] == "active"


def test_anothers_trips_are_in_no_list(api: Api, trip: Json, rider: Client) -> None:
    other = api.rider()
    for filters in ({}, {"rider_id": rider.sub}, {"bike_id": trip["bike_id"]}, {"status": "active"}):
        assert other.all("/v1/trips", **filters) == []


def test_a_bike_in_use_is_nowhere_but_in_its_riders_trip(api: Api, trip: Json, rider: Client) -> None:
    bike = f"/v1/bikes/{trip['bike_id']}"
    eventually(lambda: ok(rider.get(bike))["status"] == "in_use")
    for caller in (api.anonymous, api.rider(), api.vehicle(unknown_id())):
        assert ok(caller.get(bike))["location"] is None
    for caller in (rider, api.operator(), api.vehicle(trip["bike_id"])):
        assert ok(caller.get(bike))["location"] is not None
