"""What every route shares: the order of judgement, problems, headers, limits, origins."""

import json
import logging
from typing import Any

import pytest

from shared.errors import Conflict, DeadlineExceeded, Invalid, NotFound, Unavailable
from shared.http_policy import Cors, HttpPolicy
from shared.jwt import Verifier
from shared.rate_limit import RateLimit, TrustedProxies
from tests.unit.gateway_app import BIKE, BIKE_ID, CONTAINER, SECRET, FakeService, gateway, token

VERIFIER = Verifier.with_secret(SECRET)
BIKE_PATH = f"/v1/bikes/{BIKE_ID}"


def client(policy: HttpPolicy | None = None, **bikes) -> Any:
    return gateway(FakeService(**bikes), policy=policy)


def problem(response, status: int) -> dict:
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    assert response.json["status"] == status
    assert response.json["type"] == "about:blank"
    assert response.json["title"]
    return response.json


@pytest.mark.parametrize(
    "path", ["/none", "/v1", "/v1/bikes/", "//v1/bikes", "/v1//bikes", "/v1/bikes%2Fx", "/%ff", "*"]
)
def test_an_unknown_address_is_404_and_never_a_redirect(path):
    problem(client().get(path), 404)


def test_a_wrong_method_is_405_with_those_that_are_right():
    response = client().put(BIKE_PATH)
    problem(response, 405)
    assert response.headers["Allow"] == "DELETE, GET, HEAD, PATCH"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PATCH", "DELETE", "PUT"])
def test_an_address_of_its_own_is_no_resource_of_the_addresses_with_an_id(method):
    response = client().open("/v1/bikes/batch", method=method)
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (Invalid("bad", {"errors": {"name": ["Taken."]}}), 422, {}),
        (NotFound("none"), 404, {}),
        (
            Conflict("no", {"retry_after": "3", "replayed": "True"}),
            409,
            {"Retry-After": "3", "Idempotency-Replayed": "true"},
        ),
        (Unavailable("away"), 503, {"Retry-After": "2"}),
        (Unavailable("away", {"retry_after": 7}), 503, {"Retry-After": "7"}),
        (DeadlineExceeded("late"), 504, {}),
    ],
)
def test_each_domain_error_has_its_status(error, status, headers):
    response = client(get=error).get(BIKE_PATH)
    document = problem(response, status)
    assert document["detail"] == error.detail
    assert document.get("errors", {}) == error.errors
    assert {name: response.headers[name] for name in headers} == headers


def test_a_defect_is_500_that_tells_nothing_and_logs_all(caplog):
    response = client(get=ZeroDivisionError("a secret")).get(BIKE_PATH, headers={"X-Request-ID": "r-1"})
    assert "secret" not in problem(response, 500)["detail"]
    record = next(record for record in caplog.records if record.levelno == logging.ERROR)
    assert record.exc_info[0] is ZeroDivisionError
    assert record.request_id == "r-1"


@pytest.mark.parametrize("given", ["abc", "x" * 128, "~!"])
def test_a_request_id_is_kept(given):
    assert client(get=BIKE).get(BIKE_PATH, headers={"X-Request-ID": given}).headers["X-Request-ID"] == given
    assert CONTAINER.contexts == [{"request_id": given}]


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "é"])
def test_a_request_id_that_cannot_be_kept_is_replaced(given):
    made = client().get("/ping", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert made != given
    assert len(made) == 36


def test_errors_have_a_request_id_too():
    assert client().get("/none", headers={"X-Request-ID": "r-1"}).headers["X-Request-ID"] == "r-1"


@pytest.mark.parametrize(
    "authorization",
    ["Bearer", "Bearer ", "Bearer x.y.z", "Basic YTpi", "bearer", token("rider")["Authorization"] + "x"],
)
def test_a_bad_token_is_401_even_where_none_is_needed(authorization):
    response = client(get=BIKE).get(BIKE_PATH, headers={"Authorization": authorization})
    problem(response, 401)
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]


def test_outside_the_api_tokens_are_not_looked_at():
    assert client().get("/ping", headers={"Authorization": "Bearer x"}).status_code == 200


def test_no_token_is_401_with_a_challenge():
    response = client().post("/v1/bikes")
    problem(response, 401)
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_the_order_of_judgement():
    """Route, method, token, role, path, headers, query, media type, size, syntax, rules."""
    request = client().open
    post = {"method": "POST", "path": "/v1/bikes"}
    operator = token("operator")
    key = {"Idempotency-Key": "a b"}
    wrong = {"query_string": {"x": "1"}, "data": "{"}
    problem(request(method="POST", path="/v1/none", **wrong), 404)
    problem(request(method="PUT", path="/v1/bikes", **wrong), 405)
    problem(request(**post, headers=key, **wrong), 401)
    problem(request(**post, headers={**token("rider"), **key}, **wrong), 403)
    problem(request(method="PATCH", path="/v1/bikes/x", headers=operator, **wrong), 404)
    problem(request(**post, headers={**operator, **key}, **wrong), 400)
    assert "x" in problem(request(**post, headers=operator, **wrong), 422)["errors"]
    problem(request(**post, headers=operator, data="{" * (2 << 20)), 415)
    problem(request(**post, headers=operator, data="{" * (2 << 20), content_type="application/json"), 413)
    problem(request(**post, headers=operator, data="{", content_type="application/json"), 400)
    assert problem(request(**post, headers=operator, json={"nam": 1}), 422)["errors"] == {"nam": ["Unknown field."]}


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "application/json; charset=latin-1", "json"])
def test_a_body_that_is_declared_as_something_else_is_415(content_type):
    response = client().post("/v1/bikes", headers=token("operator"), data="{}", content_type=content_type)
    problem(response, 415)


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_is_json_however_it_is_spelled(content_type):
    response = client(add=BIKE.copy()).post(
        "/v1/bikes", headers=token("operator"), data="{}", content_type=content_type
    )
    assert response.status_code == 201


def test_a_compressed_body_is_415():
    headers = {**token("operator"), "Content-Encoding": "gzip"}
    problem(client().post("/v1/bikes", headers=headers, data=b"x", content_type="application/json"), 415)


def test_a_body_must_be_there_where_it_is_needed():
    for options in ({}, {"content_type": "application/json"}):
        problem(client().post("/v1/bikes/batch", headers=token("operator"), **options), 400)


@pytest.mark.parametrize("value", [[], "x", 1, None, True])
def test_a_body_is_an_object(value):
    response = client().post(
        "/v1/bikes", headers=token("operator"), data=json.dumps(value), content_type="application/json"
    )
    assert "body" in problem(response, 422)["errors"]


@pytest.mark.parametrize("query", ["limit=1&limit=2", "x", "Limit=1", "limit=%ff", "&".join(["limit=1"] * 200)])
def test_a_query_with_unknown_or_repeated_parameters_is_422(query):
    assert problem(client().get("/v1/bikes", query_string=query), 422)["errors"]


def test_answers_are_not_cached_nor_sniffed():
    response = client(get=BIKE).get(BIKE_PATH)
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_a_rate_limit_counts_each_subject_and_address_alone():
    policy = HttpPolicy(verifier=VERIFIER, rate_limit=RateLimit("2/minute"))
    limited = client(policy, get=BIKE)
    for headers in (token("rider", "ann"), token("rider", "bob"), {}):
        assert [limited.get(BIKE_PATH, headers=headers).status_code for _ in range(2)] == [200, 200]
        response = limited.get(BIKE_PATH, headers=headers)
        problem(response, 429)
        assert 1 <= int(response.headers["Retry-After"]) <= 60
    assert limited.get("/ping").status_code == 200


def test_bad_tokens_count_against_their_address():
    limited = client(HttpPolicy(verifier=VERIFIER, rate_limit=RateLimit("1/minute")))
    statuses = [limited.get(BIKE_PATH, headers={"Authorization": "Bearer x"}).status_code for _ in range(2)]
    assert statuses == [401, 429]


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "address"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "rubbish", "10.0.0.1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
    ],
)
def test_only_trusted_proxies_say_who_the_client_is(peer, forwarded_for, address):
    assert TrustedProxies(["10.0.0.0/8"]).client_address(peer, forwarded_for) == address


def test_origins_get_no_headers_unless_configured():
    response = client(get=BIKE).get(BIKE_PATH, headers={"Origin": "https://app.example"})
    assert "Access-Control-Allow-Origin" not in response.headers
    problem(client().options(BIKE_PATH, headers={"Access-Control-Request-Method": "GET"}), 405)


def test_a_configured_origin_may_call_and_read_errors_too():
    policy = HttpPolicy(verifier=VERIFIER, cors=Cors(frozenset({"https://app.example"})))
    for path in (BIKE_PATH, "/none"):
        headers = client(policy, get=BIKE).get(path, headers={"Origin": "https://app.example"}).headers
        assert headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert "X-Request-ID" in headers["Access-Control-Expose-Headers"]
        assert headers["Vary"] == "Origin"
    other = client(policy, get=BIKE).get(BIKE_PATH, headers={"Origin": "https://other.example"})
    assert "Access-Control-Allow-Origin" not in other.headers


def test_a_preflight_names_methods_and_headers():
    policy = HttpPolicy(verifier=VERIFIER, cors=Cors(frozenset({"*"})))
    asked = {"Origin": "https://any.example", "Access-Control-Request-Method": "PATCH"}
    response = client(policy).options(BIKE_PATH, headers=asked)
    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "PATCH" in response.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
    problem(client(policy).options("/none", headers=asked), 404)


def test_a_request_is_one_log_line_without_token_or_query(caplog):
    caplog.set_level(logging.INFO, "http.access")
    sent = token("rider", "ann")
    client(get=BIKE).get(BIKE_PATH + "?x=secret", headers={**sent, "X-Request-ID": "r-1"})
    (record,) = [record for record in caplog.records if record.name == "http.access"]
    assert (record.method, record.path, record.route, record.status) == ("GET", BIKE_PATH, "/v1/bikes/{bike_id}", 422)
    assert (record.request_id, record.sub, record.role) == ("r-1", "ann", "rider")
    assert record.duration_ms >= 0
    assert "secret" not in str(vars(record))
    assert sent["Authorization"] not in str(vars(record))
