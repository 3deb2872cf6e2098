"""The WSGI application in front of the HTTP entrypoints: routing, problems, headers, one log line a request."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from werkzeug.datastructures import EnvironHeaders, Headers
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import Map
from werkzeug.wrappers import Response

from shared import tracing
from shared.errors import DomainError
from shared.http_headers import request_id
from shared.http_metrics import IN_PROGRESS, OTHER, REQUESTS, UNMATCHED
from shared.http_policy import ANY_ORIGIN, Cors
from shared.http_route import Route
from shared.http_table import RouteTable
from shared.jwt import Identity
from shared.log import set_request_id
from shared.problems import Problem, problem_of, response_of

log = logging.getLogger(__name__)
access_log = logging.getLogger("http.access")

# For whatever a browser might make of an answer that is data; a page that needs more says so itself.
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
# More than this of a body that nobody read is not worth a connection.
MAX_DISCARD = 1 << 16


@dataclass
class Exchange:
    """One request, as far as it is known yet."""

    method: str
    path: str
    request_id: str
    environ: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    route: Route | None = None
    identity: Identity | None = None

    @property
    def headers(self) -> EnvironHeaders:
        return EnvironHeaders(self.environ)


class HttpApp:
    """`server`: has `policy`, `is_draining`, and `_providers`, the HTTP entrypoints."""

    def __init__(self, server: Any) -> None:
        self.server = server
        rules = []
        # The methods of each address that has no parameter, which is so no resource of a route that has one.
        self._literal: dict[str, set[str]] = {}
        self._of_any_origin: set[str] = set()
        for entrypoint in server._providers:
            rule = entrypoint.route.rule()
            rule.endpoint = entrypoint
            rules.append(rule)
            if not entrypoint.route.parameters:
                self._literal.setdefault(entrypoint.route.path, set()).update(rule.methods)
            if entrypoint.route.any_origin:
                self._of_any_origin.add(entrypoint.route.path)
        self._table = RouteTable(server._providers)
        # An address that is not spelled as declared is unknown, not redirected.
        self._in_progress = 0
        IN_PROGRESS.set_function(lambda: self._in_progress)
        # Anybody may send a method of their own making, and a page may ask with OPTIONS.
        self._methods = {"OPTIONS"}.union(*(rule.methods for rule in rules))
        self._adapter = Map(rules, merge_slashes=False, redirect_defaults=False).bind("gateway")

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        headers = EnvironHeaders(environ)
        exchange = Exchange(environ["REQUEST_METHOD"], environ["PATH_INFO"], request_id(headers), environ)
        set_request_id(exchange.request_id)
        self._in_progress += 1
        try:
            with tracing.spans().http_request(environ) as span:
                try:
                    response = self._respond(exchange)
                except Exception as error:
                    response = self._response_of(error, exchange)
                self._finish(exchange, response)
                span.answered(response.status_code, exchange.route.path if exchange.route else None)
        finally:
            self._in_progress -= 1
        self._settle_connection(environ, response)
        return response(environ, start_response)

    def refuse(self, problem: Problem, method: str, path: str) -> Response:
        """The answer to a request whose head could not be read."""
        exchange = Exchange(method or "-", path.partition("?")[0] or "-", request_id(Headers()))
        response = response_of(problem)
        self._finish(exchange, response)
        return response

    def _respond(self, exchange: Exchange) -> Response:
        cors, headers = self._cors(exchange.path), exchange.headers
        if cors.is_preflight(exchange.method, headers):
            methods = self._methods_of(_decoded(exchange.path))
            if methods:
                return Response(status=204, headers=cors.preflight_headers(methods))
        if "%2f" in exchange.environ.get("RAW_PATH_INFO", "").lower():
            # A slash in an identifier is no step of a path, whatever a proxy before us made of it.
            raise Problem(404, "There is nothing at this address.")
        path = _decoded(exchange.path)
        if exchange.method not in self._literal.get(path, {exchange.method}):
            raise MethodNotAllowed(self._methods_of(path))
        found = self._table.find(exchange.method, path) or self._adapter.match(path, exchange.method)
        entrypoint, path_values = found
        exchange.route = entrypoint.route
        response: Response = entrypoint.handle(exchange, path_values)
        return response

    def _cors(self, path: str) -> Cors:
        cors: Cors = self.server.policy.cors
        return ANY_ORIGIN if path in self._of_any_origin else cors

    def _methods_of(self, path: str) -> list[str]:
        return sorted(self._literal.get(path) or self._adapter.allowed_methods(path))

    def _response_of(self, error: Exception, exchange: Exchange) -> Response:
        problem = problem_of(error)
        if problem.status == 500 and not isinstance(error, HTTPException | DomainError | Problem):
            log.error("a request failed", exc_info=error, extra={"request_id": exchange.request_id})
        if isinstance(error, MethodNotAllowed) and exchange.path == "*":
            problem = Problem(400, "The request target is not a path.")
        return response_of(problem)

    def _finish(self, exchange: Exchange, response: Response) -> None:
        headers, route, identity = response.headers, exchange.route, exchange.identity
        headers["X-Request-ID"] = exchange.request_id
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        if response.status_code >= 400 or (route is not None and route.is_versioned):
            headers["Cache-Control"] = "no-store"
        if exchange.environ:
            for name, value in self._cors(exchange.path).headers_for(exchange.environ.get("HTTP_ORIGIN")).items():
                headers.add(name, value)
        seconds = time.monotonic() - exchange.started
        method = exchange.method if exchange.method in self._methods else OTHER
        REQUESTS.record(seconds, method, route.path if route else UNMATCHED, str(response.status_code))
        access_log.info(
            "%s %s %d",
            exchange.method,
            exchange.path,
            response.status_code,
            extra={
                "request_id": exchange.request_id,
                "method": exchange.method,
                "path": exchange.path,
                "route": route.path if route else None,
                "status": response.status_code,
                "duration_ms": round(seconds * 1000, 2),
                "sub": identity.sub if identity else None,
                "role": identity.role if identity else None,
            },
        )

    def _settle_connection(self, environ: dict[str, Any], response: Response) -> None:
        """Whether the connection can serve another request; the response's `Connection` header follows."""
        connection = environ.get("http.connection")
        if connection is None:
            return
        connection.conn_state.begin_answer()
        too_slow = response.status_code == 408
        if self.server.is_draining or too_slow or environ["wsgi.input"].remaining > MAX_DISCARD:
            connection.close_connection = True


def _decoded(path: str) -> str:
    """WSGI's latin-1 path as the UTF-8 that it is; raises Problem 404 for anything else."""
    try:
        return path.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        raise Problem(404, "There is nothing at this address.") from None
