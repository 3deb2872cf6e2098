"""Unversioned routes: /, /ping, /health, /openapi.json, /docs."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import pytest

from tests.e2e.client import Client, Json, ok

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}

ROUTES = {
    "GET /",
    "GET /ping",
    "GET /health",
    "POST /v1/bikes",
    "POST /v1/bikes/batch",
    "GET /v1/bikes",
    "GET /v1/bikes/{}",
    "PATCH /v1/bikes/{}",
    "DELETE /v1/bikes/{}",
    "POST /v1/bikes/{}/positions",
    "POST /v1/positions",
    "POST /v1/trips",
    "GET /v1/trips",
    "GET /v1/trips/{}",
    "POST /v1/trips/{}/end",
    "POST /v1/trips/{}/cancel",
    "GET /v1/trips/{}/route",
}


def test_the_index_names_the_product(anonymous: Client) -> None:
    index = ok(anonymous.get("/"))
    assert index["name"]
    assert index["version"]
    assert index["links"]


def test_ping_answers_pong(anonymous: Client) -> None:
    response = anonymous.get("/ping")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain")
    assert response.text.strip() == "pong"


def test_health_names_the_broker_and_both_services(anonymous: Client) -> None:
    health = ok(anonymous.request("GET", "/health", timeout=2))
    assert health["status"] == "ok"
    assert set(health["checks"]) == {"broker", "bike_service", "trip_service"}


@pytest.fixture(scope="module")
def openapi(anonymous: Client) -> Json:
    document: Json = ok(anonymous.get("/openapi.json"))
    return document


def operations(openapi: Json) -> Iterator[tuple[str, str, Json, Json]]:
    """Method, path, path item, operation."""
    for path, item in openapi["paths"].items():
        for method in METHODS & set(item):
            yield method, path, item, item[method]


def nodes(value: Any) -> Iterator[Json]:
    """Every object of the document."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(inner)


def resolve(openapi: Json, node: Json) -> Any:
    """What a reference stands for; anything else is itself."""
    if "$ref" not in node:
        return node
    reference = node["$ref"]
    assert reference.startswith("#/"), f"{reference} leaves the document"
    found: Any = openapi
    for part in reference[2:].split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def test_openapi_names_every_route(openapi: Json) -> None:
    named = {f"{method.upper()} {re.sub('{[^}]*}', '{}', path)}" for method, path, _, _ in operations(openapi)}
    assert named >= ROUTES


def test_openapi_is_3_1_with_title_and_version(openapi: Json) -> None:
    assert re.fullmatch(r"3\.1\.\d+", openapi["openapi"])
    assert openapi["info"]["title"]
    assert openapi["info"]["version"]
    assert all(path.startswith("/") for path in openapi["paths"])


def test_openapi_references_resolve(openapi: Json) -> None:
    references = [node for node in nodes(openapi) if isinstance(node.get("$ref"), str)]
    assert references
    for node in references:
        assert resolve(openapi, node) is not None


def test_openapi_declares_exactly_the_parameters_of_each_path(openapi: Json) -> None:
    for method, path, item, operation in operations(openapi):
        parameters = [resolve(openapi, each) for each in item.get("parameters", []) + operation.get("parameters", [])]
        in_path = [each["name"] for each in parameters if each["in"] == "path"]
        assert sorted(in_path) == sorted(re.findall("{([^}]*)}", path)), f"{method} {path}"
        assert all(each.get("required") is True for each in parameters if each["in"] == "path")
        for each in parameters:
            assert each["in"] in {"query", "header", "path", "cookie"}
            assert ("schema" in each) != ("content" in each), f"{method} {path} {each['name']}"


def test_openapi_operations_have_responses_and_ids_of_their_own(openapi: Json) -> None:
    ids = []
    for method, path, _, operation in operations(openapi):
        assert operation["responses"], f"{method} {path}"
        for status, response in operation["responses"].items():
            assert re.fullmatch(r"[1-5](\d\d|XX)|default", status)
            assert isinstance(resolve(openapi, response)["description"], str), f"{method} {path} {status}"
        ids += [operation["operationId"]] if "operationId" in operation else []
        if "requestBody" in operation:
            assert resolve(openapi, operation["requestBody"])["content"]
    assert len(ids) == len(set(ids))


def test_openapi_security_names_declared_schemes(openapi: Json) -> None:
    declared = set(openapi["components"]["securitySchemes"])
    used = [need for _, _, _, operation in operations(openapi) for need in operation.get("security", [])]
    assert {name for need in used + openapi.get("security", []) for name in need} <= declared


def test_openapi_speaks_json_schema_2020_12(openapi: Json) -> None:
    for node in nodes(openapi["components"].get("schemas", {})):
        # 3.0 only: a 3.1 type may be a list with "null", and exclusive bounds are numbers
        assert not isinstance(node.get("nullable"), bool), node
        assert not isinstance(node.get("exclusiveMinimum"), bool), node
        assert not isinstance(node.get("exclusiveMaximum"), bool), node


def test_docs_load_nothing_from_elsewhere(anonymous: Client) -> None:
    page = anonymous.get("/docs")
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assets = re.findall(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)\s*=\s*[\"']?([^\"'\s>]+)", page.text)
    assert assets or "<script" in page.text
    base = anonymous.base_url + "/"
    for asset in assets:
        if asset.startswith("data:"):
            continue
        url = urljoin(page.url, asset)
        assert url.startswith(base), f"{asset} is somewhere else"
        assert anonymous.get("/" + url.removeprefix(base)).status_code == 200, asset
    assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", page.text)
