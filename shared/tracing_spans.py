"""Spans by OpenTelemetry's semantic conventions; imported only where traces are on.

No attribute holds a value that somebody sent: no token, rider, place, query string, parameter of a statement, and no
message of an exception, which may quote any of them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.sdk.trace import RandomIdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    format_span_id,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.problems import problem_of
from shared.tracing import NO_SPAN, NoSpan, NoSpans

HEADERS = ("traceparent", "tracestate")
# What is longer is nothing that anybody has to take (W3C Trace Context, 3.3.1.5); it is left out without a line.
MAX_HEADER = 512
MAX_STATEMENT = 4096
MAX_PATH = 256
METHODS = {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
# SQLSTATE class 23: a constraint has judged, which is an answer.
CONSTRAINT = "23"

_propagator = TraceContextTextMapPropagator()
_ids = RandomIdGenerator()


class ActiveSpan(NoSpan):
    """A span that is the current one between entering and leaving, in its greenlet."""

    def __init__(self, span: Span, name: str = "") -> None:
        self.span, self.name = span, name
        self._context = set_span_in_context(span)
        self._token: Any = None

    @property
    def headers(self) -> dict[str, str]:
        return _headers(self._context)

    def __enter__(self) -> "ActiveSpan":
        self._token = contexts.attach(self._context)
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        contexts.detach(self._token)
        if error is not None and _is_failure(error):
            _fail(self.span, type(error).__name__)
        self.span.end()

    def answered(self, status: int, route: str | None) -> None:
        self.span.set_attribute("http.response.status_code", status)
        if route is not None:
            self.span.set_attribute("http.route", route)
            self.span.update_name(f"{self.name} {route}")
        if status >= 500:
            _fail(self.span, str(status))


class StatementSpan:
    """A statement while the database works on it."""

    def __init__(self, span: Span) -> None:
        self.span = span

    def end(self, error: BaseException | None = None) -> None:
        if error is not None:
            code = getattr(error, "pgcode", None)
            if code:
                self.span.set_attribute("db.response.status_code", code)
            if not (code or "").startswith(CONSTRAINT):
                _fail(self.span, code or type(error).__name__)
        self.span.end()


class Spans(NoSpans):
    """See `NoSpans` for each."""

    is_on = True

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def http_request(self, environ: Mapping[str, Any]) -> ActiveSpan:
        method = environ["REQUEST_METHOD"]
        name = method if method in METHODS else "HTTP"
        attributes = {
            "http.request.method": method if method in METHODS else "_OTHER",
            "url.path": environ["PATH_INFO"][:MAX_PATH],
            "url.scheme": environ.get("wsgi.url_scheme", "http"),
        }
        sent = {header: environ.get(f"HTTP_{header.upper()}") for header in HEADERS}
        return self._start(name, SpanKind.SERVER, attributes, extract(sent))

    def rpc_call(self, service: str, method: str) -> ActiveSpan:
        return self._start(f"{service}/{method}", SpanKind.CLIENT, _rpc(service, method))

    def rpc_served(self, service: str, method: str, carrier: Mapping[str, Any]) -> ActiveSpan:
        return self._start(f"{service}/{method}", SpanKind.SERVER, _rpc(service, method), extract(carrier))

    def publishing(self, destination: str, carrier: Mapping[str, Any] | None = None) -> NoSpan:
        context = contexts.get_current() if carrier is None else extract(carrier)
        if not get_current_span(context).get_span_context().is_valid:
            return NO_SPAN
        return self._start(f"send {destination}", SpanKind.PRODUCER, _messaging("send", destination), context)

    def handling(self, queue: str, carrier: Mapping[str, Any]) -> ActiveSpan:
        return self._start(f"process {queue}", SpanKind.CONSUMER, _messaging("process", queue), extract(carrier))

    def handling_batch(self, queue: str, carriers: Iterable[Mapping[str, Any]], count: int) -> ActiveSpan:
        attributes = {**_messaging("process", queue), "messaging.batch.message_count": count}
        origins = (get_current_span(extract(carrier)).get_span_context() for carrier in carriers)
        links = {(origin.trace_id, origin.span_id): Link(origin) for origin in origins if origin.is_valid}
        return self._start(f"process {queue}", SpanKind.CONSUMER, attributes, Context(), list(links.values()))

    def continued(self, carrier: Mapping[str, Any]) -> NoSpan:
        return ActiveSpan(get_current_span(extract(carrier)))

    def untraced(self) -> NoSpan:
        # Not sampled, so nothing in it is, as long as samplers heed their parent.
        return ActiveSpan(
            NonRecordingSpan(SpanContext(_ids.generate_trace_id(), _ids.generate_span_id(), is_remote=False))
        )

    def statement(self, text: str, database: str | None) -> StatementSpan | None:
        if not get_current_span().get_span_context().trace_flags.sampled:
            return None
        operation = text.split(maxsplit=1)[0].upper() if text.strip() else "SQL"
        attributes = {
            "db.system.name": "postgresql",
            "db.operation.name": operation,
            "db.query.text": text[:MAX_STATEMENT],
        }
        if database:
            attributes["db.namespace"] = database
        name = f"{operation} {database}" if database else operation
        return StatementSpan(self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes))

    def carrier(self) -> dict[str, str]:
        return _headers(contexts.get_current())

    def ids(self) -> tuple[str, str] | None:
        here = get_current_span().get_span_context()
        if not here.trace_flags.sampled:
            return None
        return format_trace_id(here.trace_id), format_span_id(here.span_id)

    def _start(
        self,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, Any],
        context: Context | None = None,
        links: list[Link] | None = None,
    ) -> ActiveSpan:
        return ActiveSpan(self._tracer.start_span(name, context, kind, attributes, links), name)


def extract(carrier: Mapping[str, Any]) -> Context:
    """The trace that `carrier` says it belongs to; an empty context when it says nothing that is valid."""
    sent = {name: carrier.get(name) for name in HEADERS}
    usable = {name: value for name, value in sent.items() if isinstance(value, str) and len(value) <= MAX_HEADER}
    return _propagator.extract(usable, Context())


def _headers(context: Context) -> dict[str, str]:
    headers: dict[str, str] = {}
    _propagator.inject(headers, context)
    return headers


def _rpc(service: str, method: str) -> dict[str, str]:
    return {"rpc.system": "nameko", "rpc.service": service, "rpc.method": method}


def _messaging(operation: str, destination: str) -> dict[str, Any]:
    return {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": destination,
    }


def _is_failure(error: BaseException) -> bool:
    return not isinstance(error, Exception) or problem_of(error).status >= 500


def _fail(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))
