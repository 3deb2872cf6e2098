"""The OpenAPI 3.1 document, made of the routes as they are declared and the schemas that validate."""

import re
from functools import cache
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from nameko.extensions import ENTRYPOINT_EXTENSIONS_ATTR

from gateway_service import API_VERSION
from gateway_service.openapi_fields import POINT, describe
from gateway_service.pages import Page
from gateway_service.status_schemas import ProblemSchema
from shared import http_json
from shared.http import HttpEntrypoint, Route
from shared.problems import MEDIA_TYPE, title_of

DESCRIPTION = """\
Rent bikes, run the fleet, report positions. Times are RFC 3339 in UTC, locations GeoJSON points
([longitude, latitude]), distances metres, durations seconds, money a decimal string.
Lists are paged by key: pass `next` as `cursor`. Every error is a problem document (RFC 9457)."""
HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-ID": {
        "description": "The request's id, as given or made; it is in every log line about it.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 128},
    },
    "Location": {
        "description": "The address of the new resource.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Idempotency-Replayed": {
        "description": "`true` when this is the kept answer to an earlier request with the same key.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Cache-Control": {"description": "How long the answer may be kept.", "schema": {"type": "string"}},
    "ETag": {"description": "What this answer is, for `If-None-Match`.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}},
    "WWW-Authenticate": {"description": "RFC 6750.", "schema": {"type": "string"}},
    "Allow": {"description": "The methods that this resource knows.", "schema": {"type": "string"}},
}
METHODS = ("GET", "POST", "PATCH", "DELETE")
# Between resources; from a new resource to its own routes they follow from the paths.
LINKS: dict[str, dict[str, Any]] = {
    "list_bikes": {"start_trip": {"requestBody": {"bike_id": "$response.body#/items/0/id"}}},
}
RETRYABLE = (409, 429, 503)
REQUEST_ID_PARAMETER = {
    "name": "X-Request-ID",
    "in": "header",
    "description": "1 to 128 visible ASCII characters; otherwise one is made.",
    "schema": {"type": "string"},
}
IDEMPOTENCY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Within 24 h the same key by the same subject gives the first answer again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"},
}


@cache
def page_of(service: Any) -> Page:
    """The document of `service`, ready to serve."""
    return Page(http_json.dump(document_of(service)), "application/json")


def document_of(service: type) -> dict[str, Any]:
    """The document as plain data."""
    marshmallow = MarshmallowPlugin(schema_name_resolver=_name_of)
    spec = APISpec(
        "Bike Company",
        API_VERSION,
        "3.1.0",
        plugins=[marshmallow],
        info={"description": DESCRIPTION, "license": {"name": "MIT", "identifier": "MIT"}},
        servers=[{"url": "/"}],
        tags=[{"name": name} for name in ("Bikes", "Trips", "Positions", "GBFS", "Gateway")],
    )
    assert marshmallow.converter is not None, "set by APISpec"
    marshmallow.converter.add_attribute_function(describe)
    spec.components.schema("Point", POINT)
    spec.components.security_scheme("bearer", {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"})
    spec.components.parameter("RequestId", "header", REQUEST_ID_PARAMETER)
    for name, header in HEADERS.items():
        spec.components.header(name, header)
    routes = routes_of(service)
    for operation_id, route in routes:
        operation = _operation(operation_id, route)
        links = _links(operation_id, route, routes)
        if links:
            operation["responses"][str(route.status)]["links"] = links
        spec.path(path=route.path, operations={route.method.lower(): operation})
    return spec.to_dict()


def _links(operation_id: str, route: Route, routes: list[tuple[str, Route]]) -> dict[str, Any]:
    """What the answer leads on to: a new resource to each route under its own address."""
    links: dict[str, Any] = {
        target: {"operationId": target, **link} for target, link in LINKS.get(operation_id, {}).items()
    }
    if "Location" in route.response_headers:
        own = re.compile(re.escape(route.path) + r"/{(\w+)}(/\w+)?")
        for target, other in routes:
            match = own.fullmatch(other.path)
            if match:
                links[target] = {"operationId": target, "parameters": {match[1]: "$response.body#/id"}}
    return links


def _name_of(schema: Any) -> str:
    cls = schema if isinstance(schema, type) else type(schema)
    return cls.__name__.removesuffix("Schema")


def routes_of(service: type) -> list[tuple[str, Route]]:
    """(method name, route) of every documented HTTP entrypoint, in the order of paths."""
    found = [
        (name, entrypoint.route)
        for name in dir(service)
        for entrypoint in getattr(getattr(service, name), ENTRYPOINT_EXTENSIONS_ATTR, ())
        if isinstance(entrypoint, HttpEntrypoint) and entrypoint.route.documented
    ]
    return sorted(found, key=lambda each: (each[1].path, METHODS.index(each[1].method)))


def _operation(operation_id: str, route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": operation_id,
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": _parameters(route),
        "responses": _responses(route),
    }
    if route.description:
        operation["description"] = route.description
    if route.roles is not None:
        operation["security"] = [{"bearer": []}]
        operation["x-roles"] = list(route.roles)
    elif route.is_versioned:
        operation["security"] = [{}, {"bearer": []}]
    if route.body is not None:
        operation["requestBody"] = {
            "required": route.body_required,
            "content": {"application/json": {"schema": route.body}},
        }
    return operation


def _parameters(route: Route) -> list[Any]:
    parameters: list[Any] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
        for name in route.parameters
    ]
    if route.query is not None:
        parameters.append({"in": "query", "schema": route.query})
    if route.takes_idempotency_key:
        parameters.append(IDEMPOTENCY_PARAMETER)
    return [*parameters, "RequestId"]


def _responses(route: Route) -> dict[str, Any]:
    headers = ["X-Request-ID", *route.response_headers]
    if route.takes_idempotency_key:
        headers.append("Idempotency-Replayed")
    responses = {str(route.status): _response(title_of(route.status), route.responses, headers)}
    for status, response in route.other_responses.items():
        responses[str(status)] = _response(title_of(status), (response,), _error_headers(status, route))
    for status in route.all_errors():
        responses[str(status)] = {
            "description": title_of(status),
            "headers": _headers(_error_headers(status, route)),
            "content": {MEDIA_TYPE: {"schema": ProblemSchema}},
        }
    return responses


def _response(description: str, bodies: Any, headers: list[str]) -> dict[str, Any]:
    content = {body.media_type: {"schema": body.schema or {}} for body in bodies}
    return {"description": description, "headers": _headers(headers), **({"content": content} if content else {})}


def _error_headers(status: int, route: Route) -> list[str]:
    headers = ["X-Request-ID"]
    if status in RETRYABLE:
        headers.append("Retry-After")
    if status in (401, 403):
        headers.append("WWW-Authenticate")
    if route.takes_idempotency_key and status in (404, 409):
        headers.append("Idempotency-Replayed")
    return headers


def _headers(names: list[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
