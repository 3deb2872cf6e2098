"""A collector of traces for tests: OTLP over HTTP with protobuf, on the loopback."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import eventlet
from eventlet import wsgi
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage


@dataclass(frozen=True)
class Span:
    """A span as it was received; ids in hexadecimal, `parent` empty for a root."""

    service: str
    kind: str
    name: str
    trace_id: str
    id: str
    parent: str
    failed: bool
    attributes: dict[str, Any]
    links: list[str]
    text: str

    def __str__(self) -> str:
        return f"{self.service} {self.kind} {self.name}"


@dataclass
class Collector:
    """What has come in so far, and how much of it in how many requests."""

    url: str
    spans: list[Span] = field(default_factory=list)
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)

    def app(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        body = environ["wsgi.input"].read()
        assert environ["PATH_INFO"] == "/v1/traces"
        assert environ["CONTENT_TYPE"] == "application/x-protobuf"
        if environ.get("HTTP_CONTENT_ENCODING") == "gzip":
            body = gzip.decompress(body)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = _plain(group.resource.attributes)
            self.resources[resource["service.name"]] = resource
            for scope in group.scope_spans:
                self.spans.extend(_span(resource["service.name"], span) for span in scope.spans)
        start_response("200 OK", [("Content-Type", "application/x-protobuf")])
        return [b""]

    def of_trace(self, trace_id: str) -> list[Span]:
        return [span for span in self.spans if span.trace_id == trace_id]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens."""
    listener = eventlet.listen(("127.0.0.1", 0), reuse_port=False)
    collector = Collector(f"http://127.0.0.1:{listener.getsockname()[1]}")
    server = eventlet.spawn(wsgi.server, listener, collector.app, log_output=False)
    try:
        yield collector
    finally:
        server.kill()
        listener.close()


@contextmanager
def silent() -> Iterator[str]:
    """The URL of one that takes connections and never says anything."""
    listener = eventlet.listen(("127.0.0.1", 0), reuse_port=False)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def _span(service: str, span: Any) -> Span:
    return Span(
        service=service,
        kind=SpanMessage.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        name=span.name,
        trace_id=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        failed=span.status.code == 2,
        attributes=_plain(span.attributes),
        links=[link.trace_id.hex() for link in span.links],
        text=str(span),
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
