"""The OpenAPI document: complete, consistent in itself, and true of what the gateway takes."""

from typing import Any

import pytest
from marshmallow import Schema

from gateway_service import status_schemas
from gateway_service.openapi import document_of, routes_of
from gateway_service.service import GatewayService

DOCUMENT = document_of(GatewayService)
ROUTES = routes_of(GatewayService)
OPERATIONS = {
    (method.upper(), path): operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
API = """
    GET /  GET /ping  GET /health  GET /openapi.json  GET /docs  GET /map
    GET /gbfs/manifest.json  GET /gbfs/3.0/gbfs.json  GET /gbfs/3.0/gbfs_versions.json
    GET /gbfs/3.0/system_information.json  GET /gbfs/3.0/vehicle_types.json  GET /gbfs/3.0/vehicle_status.json
    GET /gbfs/3.0/system_pricing_plans.json  GET /gbfs/3.0/system_alerts.json
    POST /v1/bikes  GET /v1/bikes  POST /v1/bikes/batch  GET /v1/bikes/{bike_id}  PATCH /v1/bikes/{bike_id}
    DELETE /v1/bikes/{bike_id}  POST /v1/bikes/{bike_id}/positions  POST /v1/positions
    POST /v1/trips  GET /v1/trips  GET /v1/trips/{trip_id}  POST /v1/trips/{trip_id}/end
    POST /v1/trips/{trip_id}/cancel  GET /v1/trips/{trip_id}/route
"""


def every(part: Any, key: str) -> list[Any]:
    """The values of `key` anywhere in the document."""
    children = list(part.values()) if isinstance(part, dict) else part if isinstance(part, list) else []
    own = [part[key]] if isinstance(part, dict) and key in part else []
    return own + [value for child in children for value in every(child, key)]


def test_every_route_of_the_contract_is_there_and_no_other():
    words = API.split()
    assert set(OPERATIONS) == set(zip(words[::2], words[1::2], strict=True))


def test_it_is_openapi_3_1():
    assert DOCUMENT["openapi"] == "3.1.0"
    assert {"title", "version", "description", "license"} <= set(DOCUMENT["info"])


def test_operation_ids_are_unique():
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(ids) == len(set(ids))


def test_links_lead_from_what_is_created_to_its_own_routes():
    links = {
        (operation["operationId"], name): link
        for operation in OPERATIONS.values()
        for response in operation["responses"].values()
        for name, link in response.get("links", {}).items()
    }
    created = {"add_bike": "get_bike change_bike retire_bike report_bike_positions"}
    created["start_trip"] = "get_trip end_trip cancel_trip get_trip_route"
    expected = {(source, name) for source, names in created.items() for name in names.split()}
    assert set(links) == expected | {("list_bikes", "start_trip")}
    ids = {operation["operationId"] for operation in OPERATIONS.values()}
    assert {link["operationId"] for link in links.values()} <= ids
    assert all("$response.body#/id" in link["parameters"].values() for key, link in links.items() if key in expected)


def test_every_reference_leads_somewhere():
    for reference in every(DOCUMENT, "$ref"):
        part = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            part = part[step]
        assert part


@pytest.mark.parametrize(("method_name", "route"), ROUTES, ids=[name for name, _ in ROUTES])
def test_an_operation_says_what_its_route_does(method_name, route):
    operation = OPERATIONS[route.method, route.path]
    responses = operation["responses"]
    assert operation["operationId"] == method_name
    assert {str(route.status), *map(str, route.all_errors())} <= set(responses)
    assert all("X-Request-ID" in response["headers"] for response in responses.values())
    assert ("requestBody" in operation) == (route.body is not None)
    names = {parameter.get("name") for parameter in operation["parameters"]}
    assert set(route.parameters) <= names
    assert ("Idempotency-Key" in names) == route.takes_idempotency_key
    if route.query is not None:
        assert set(route.query.fields) <= names
    if route.roles is not None:
        assert operation["security"] == [{"bearer": []}]
        assert "WWW-Authenticate" in responses["401"]["headers"]
    if route.is_versioned:
        assert "Retry-After" in responses["503"]["headers"]


def test_errors_are_problems():
    for operation in OPERATIONS.values():
        for status, response in operation["responses"].items():
            if status >= "400" and operation["operationId"] != "health":
                content = response["content"]["application/problem+json"]
                assert content == {"schema": {"$ref": "#/components/schemas/Problem"}}


def test_no_field_is_left_without_a_type():
    for name, schema in DOCUMENT["components"]["schemas"].items():
        for field, description in schema.get("properties", {}).items():
            assert {"type", "$ref", "anyOf", "enum", "const"} & set(description), f"{name}.{field}"


def test_bodies_are_closed():
    for operation in OPERATIONS.values():
        if "requestBody" in operation:
            reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            schema = DOCUMENT["components"]["schemas"][reference.rsplit("/", 1)[1]]
            assert schema["additionalProperties"] is False


def test_null_is_allowed_exactly_where_the_schemas_allow_it():
    trip = DOCUMENT["components"]["schemas"]["Trip"]["properties"]
    assert trip["ended_at"]["type"] == ["string", "null"]
    assert trip["started_at"]["type"] == "string"
    assert None in trip["ended_by"]["enum"]
    assert {"type": "null"} in trip["end_location"]["anyOf"]
    assert {"type": "null"} in trip["fare"]["anyOf"]


def test_the_health_schema_names_every_check():
    assert set(status_schemas.ChecksSchema().fields) == set(status_schemas.CHECKS)
    assert all(isinstance(route.query or route.body or Schema(), Schema) for _, route in ROUTES)
