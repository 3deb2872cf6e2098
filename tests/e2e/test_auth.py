"""Tokens and subjects; who may do what on which route is the matrix of tests/doors."""

import time
from typing import Any

import pytest

from tests.e2e.client import Api, Client, Json, Stack, forge, ok, problem, unique, unknown_id


def claims(**changes: Any) -> Json:
    """The claims of a good operator's token, changed."""
    return {"sub": unknown_id(), "role": "operator", "exp": int(time.time()) + 3600, **changes}


def without(name: str) -> Json:
    return {key: value for key, value in claims().items() if key != name}


def assert_refused(stack: Stack, token: str) -> None:
    response = Client(stack.gateway_url, token).get("/v1/trips")
    problem(response, 401)
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_good_token_is_taken(stack: Stack) -> None:
    ok(Client(stack.gateway_url, forge(claims(), stack.jwt_secret)).get("/v1/trips", limit="1"))


@pytest.mark.parametrize(
    "bad",
    [
        without("sub"),
        without("role"),
        without("exp"),
        claims(exp=int(time.time()) - 3600),
        claims(exp="soon"),
        claims(exp=None),
        claims(sub=None),
        claims(sub=""),
        claims(sub="x" * 256),
        claims(sub=7),
        claims(role=None),
        claims(role=["operator"]),
    ],
    ids=lambda bad: str({key: str(value)[:20] for key, value in bad.items()}),
)
def test_a_token_with_bad_claims_is_401(stack: Stack, bad: Json) -> None:
    assert_refused(stack, forge(bad, stack.jwt_secret))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
def test_alg_none_is_refused(stack: Stack, algorithm: str) -> None:
    assert_refused(stack, forge(claims(), stack.jwt_secret, algorithm))


def test_an_algorithm_other_than_hs256_is_refused(stack: Stack) -> None:
    assert_refused(stack, forge(claims(), stack.jwt_secret, "HS512", "sha512"))


def test_a_wrong_signature_is_refused(stack: Stack) -> None:
    assert_refused(stack, forge(claims(), stack.jwt_secret[::-1] + "x"))
    assert_refused(stack, forge(claims(), ""))


def test_claims_changed_after_signing_are_refused(stack: Stack) -> None:
    rider = forge(claims(role="rider"), stack.jwt_secret).split(".")
    operator = forge(claims(), stack.jwt_secret).split(".")
    assert_refused(stack, ".".join([operator[0], operator[1], rider[2]]))
    assert_refused(stack, ".".join([operator[0], operator[1], ""]))


def test_an_unknown_role_may_do_nothing(stack: Stack) -> None:
    client = Client(stack.gateway_url, forge(claims(role="admin"), stack.jwt_secret))
    problem(client.get("/v1/trips"), 401, 403)
    problem(client.post("/v1/bikes", {"name": unique()}), 401, 403)


@pytest.mark.parametrize("sub", ["x", "é☃ über", "x" * 255, "auth0|5f7c8ec7c33c6c004bbafe82", "a@b.example"])
def test_a_subject_is_any_text(api: Api, bike: Json, sub: str) -> None:
    rider = api.rider(sub)
    for left in rider.all("/v1/trips", status="active"):
        ok(rider.post(f"/v1/trips/{left['id']}/end"))
    trip = ok(rider.post("/v1/trips", {"bike_id": bike["id"]}), 201)
    assert trip["rider_id"] == sub
    assert trip["id"] in [found["id"] for found in rider.all("/v1/trips")]
    ok(rider.post(f"/v1/trips/{trip['id']}/end"))


def test_metrics_are_not_on_the_public_port(anonymous: Client) -> None:
    problem(anonymous.get("/metrics"), 404)
