"""HTTP entrypoints that are declared, not coded: `@http("GET", "/v1/bikes/{bike_id}", summary=..., roles=...)`.

Nameko's own hand the method a raw request and leave the rest to it. Here one declaration says who may call, what
is taken and what is answered; the method gets what has passed, as a `Call`, and returns plain data.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import eventlet
from eventlet.event import Event
from nameko.exceptions import ContainerBeingKilled
from nameko.web.handlers import HttpRequestHandler
from werkzeug.datastructures import Headers, MIMEAccept
from werkzeug.http import parse_accept_header
from werkzeug.wrappers import Response as HttpResponse

from shared import http_json, tracing
from shared.errors import DeadlineExceeded, DomainError, Invalid, Unavailable
from shared.fields import canonical_uuid
from shared.http_app import Exchange
from shared.http_headers import idempotency_key, require_json
from shared.http_input import read_body
from shared.http_policy import REALM
from shared.http_route import Response, Route
from shared.http_server import HttpServer
from shared.http_stream import StreamAnswer
from shared.jwt import Identity, InvalidToken
from shared.log import set_call_chain
from shared.problems import DEFAULT_DETAIL, Problem
from shared.validation import load

HANDLER_TIMEOUT_S = 30
MAX_QUERY_FIELDS = 100


@dataclass(frozen=True)
class Call:
    """A request that has passed: everything in it is valid, and of the types that the schemas load."""

    request_id: str
    identity: Identity | None = None
    path: dict[str, str] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    idempotency_key: str | None = None
    headers: Headers = field(default_factory=Headers)

    @property
    def subject(self) -> str:
        """The token's subject; for routes that take one."""
        assert self.identity is not None, "a route with roles"
        return self.identity.sub

    def preferred(self, media_types: Sequence[str]) -> str:
        """The one of `media_types` that the client would rather have; the first when it wants none of them."""
        accepted = parse_accept_header(self.headers.get("Accept"), MIMEAccept)
        return accepted.best_match(media_types, default=media_types[0]) or media_types[0]


@dataclass(frozen=True)
class Answer:
    """What a method returns when data alone does not say it; `body` is JSON data, text or bytes as `media_type` says.

    `status` None: the route's.
    """

    body: Any = None
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = "application/json"


class HttpEntrypoint(HttpRequestHandler):
    """Judges a request in this order: token, rate, role, path, headers, query, body; then runs the method."""

    server = HttpServer()

    def __init__(self, method: str, path: str, **declaration: Any) -> None:
        self.route = Route(method, path, **declaration)
        super().__init__(method, path, expected_exceptions=(DomainError, Problem))

    def stop(self) -> None:
        self.server.drain()
        super().stop()

    def handle(self, exchange: Exchange, path_values: dict[str, str]) -> HttpResponse:
        """The response to a request that was routed here; raises what `shared.problems` has a status for."""
        call = self._accept(exchange, path_values)
        result = self._run(call)
        if isinstance(result, StreamAnswer):
            return result.response(exchange.request_id, exchange.identity)
        return self._response(result if isinstance(result, Answer) else Answer(result))

    def _accept(self, exchange: Exchange, path_values: dict[str, str]) -> Call:
        route, headers = self.route, exchange.headers
        if route.is_versioned:
            self._authenticate(exchange, headers.get("Authorization"))
        path = _identifiers(path_values)
        if route.permit is not None and exchange.identity is not None:
            route.permit(exchange.identity, path)
        key = idempotency_key(headers) if route.takes_idempotency_key else None
        query = self._query(exchange.environ.get("QUERY_STRING", ""))
        body = self._body(exchange, path) if route.body is not None else {}
        return Call(exchange.request_id, exchange.identity, path, query, body, key, headers)

    def _authenticate(self, exchange: Exchange, authorization: str | None) -> None:
        policy = self.server.policy
        try:
            exchange.identity = policy.authenticate(authorization)
        except InvalidToken as error:
            policy.count(None, exchange.environ)
            challenge = f'{REALM}, error="invalid_token", error_description="{error}"'
            raise Problem(401, str(error), headers={"WWW-Authenticate": challenge}) from None
        policy.count(exchange.identity, exchange.environ)
        roles = self.route.roles
        if roles is None and not (policy.is_closed and self.route.may_be_closed):
            return
        if exchange.identity is None:
            raise Problem(401, "A token is needed.", headers={"WWW-Authenticate": REALM})
        if roles is not None and exchange.identity.role not in roles:
            raise Problem(
                403,
                f"This takes the role {' or '.join(roles)}.",
                headers={"WWW-Authenticate": f'{REALM}, error="insufficient_scope"'},
            )

    def _query(self, text: str) -> dict[str, Any]:
        try:
            pairs = parse_qsl(
                text, keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=MAX_QUERY_FIELDS
            )
        except ValueError:
            raise Invalid("The query is not valid.", {"errors": {"query": ["Not UTF-8, or too many."]}}) from None
        known = self.route.query.fields if self.route.query is not None else {}
        errors: dict[str, list[str]] = {}
        values: dict[str, str] = {}
        for name, value in pairs:
            if name not in known:
                errors[name] = ["Unknown parameter."]
            elif name in values:
                errors[name] = ["Given more than once."]
            values[name] = value
        if errors:
            raise Invalid("The query is not valid.", {"errors": errors})
        loaded: dict[str, Any] = {}
        if self.route.query is not None:
            loaded = load(self.route.query, values, "The query is not valid.")
        return loaded

    def _body(self, exchange: Exchange, path: dict[str, str]) -> dict[str, Any]:
        route, environ = self.route, exchange.environ
        assert route.body is not None
        is_absent = not int(environ.get("CONTENT_LENGTH") or 0) and "HTTP_TRANSFER_ENCODING" not in environ
        if is_absent and not route.body_required:
            return {}
        if not is_absent or environ.get("CONTENT_TYPE"):
            require_json(exchange.headers)
        data = read_body(environ, route.body_limit)
        if not data:
            if not route.body_required:
                return {}
            raise Problem(400, "A body is needed: a JSON object.")
        # A schema may have a faster way for what has no fault; it takes nothing that the schema would refuse.
        compiled = getattr(route.body, "read_compiled", None)
        known = None if compiled is None else compiled(data, path)
        if known is not None:
            return dict(known)
        try:
            value = http_json.parse(data)
        except http_json.MalformedJSON as error:
            raise Problem(400, str(error)) from None
        body: dict[str, Any] = load(route.body, value, "The body is not valid.")
        return body

    def _run(self, call: Call) -> Any:
        """The method's result, run in a worker; raises what it raises, Unavailable when no worker is free."""
        finished = Event()
        try:
            with eventlet.Timeout(self.route.worker_wait_s, Unavailable("Too many requests are running.")):
                worker_ctx = self.container.spawn_worker(
                    self,
                    (call,),
                    {},
                    context_data={"request_id": call.request_id, **tracing.spans().carrier()},
                    handle_result=partial(self.handle_result, finished),
                )
        except ContainerBeingKilled:
            raise Unavailable("The gateway is stopping.") from None
        set_call_chain(worker_ctx.call_id_stack)
        with eventlet.Timeout(HANDLER_TIMEOUT_S, DeadlineExceeded("The request took too long.")):
            return finished.wait()

    def _response(self, answer: Answer) -> HttpResponse:
        status = answer.status or self.route.status
        if status in (204, 304):
            return HttpResponse(status=status, headers=answer.headers)
        is_json = not isinstance(answer.body, str | bytes)
        body = http_json.dump(answer.body) if is_json else answer.body
        return HttpResponse(body, status=status, headers=answer.headers, content_type=answer.media_type)


def _identifiers(path_values: dict[str, str]) -> dict[str, str]:
    canonical = {name: canonical_uuid(value) for name, value in path_values.items()}
    known = {name: value for name, value in canonical.items() if value is not None}
    if len(known) < len(canonical):
        raise Problem(404, DEFAULT_DETAIL[404])
    return known


http = HttpEntrypoint.decorator

__all__ = ["Answer", "Call", "HttpEntrypoint", "Response", "Route", "http"]
