"""Traces as the rest of the code asks for them: nothing at all until `shared.tracing_setup` turns them on.

A caller writes `with tracing.spans().rpc_call(service, method) as span:` and hands `span.headers` on. While traces are
off that is one call and no import of OpenTelemetry. Each greenlet starts with an empty context, so what spawns one
hands the context on itself: in the worker's data, in a message's headers, or with `contextvars.copy_context().run`.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any


class NoSpan:
    """What is entered when nothing is recorded."""

    @property
    def headers(self) -> Mapping[str, str]:
        """W3C Trace Context, for whoever does the next part of the work: `traceparent`, perhaps `tracestate`."""
        return MappingProxyType({})

    def __enter__(self) -> "NoSpan":
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        """End the span; an `error` that is an answer (a domain error below 500) is no failure."""

    def answered(self, status: int, route: str | None) -> None:
        """Of an HTTP request: its status, and the route with its parameters' names."""


NO_SPAN = NoSpan()


class NoSpans:
    """Every kind of span, as nothing; `shared.tracing_spans.Spans` is the real one.

    A `carrier` is what came with a request or message; its `traceparent` and `tracestate` may be missing or malformed.
    """

    is_on = False

    def http_request(self, environ: Mapping[str, Any]) -> NoSpan:
        """A request, by its WSGI environment."""
        return NO_SPAN

    def rpc_call(self, service: str, method: str) -> NoSpan:
        """A call of another service."""
        return NO_SPAN

    def rpc_served(self, service: str, method: str, carrier: Mapping[str, Any]) -> NoSpan:
        """A call by another service."""
        return NO_SPAN

    def publishing(self, destination: str, carrier: Mapping[str, Any] | None = None) -> NoSpan:
        """A message on its way, part of the trace in `carrier` or of the one at hand; without one, nothing."""
        return NO_SPAN

    def handling(self, queue: str, carrier: Mapping[str, Any]) -> NoSpan:
        """The handling of one message."""
        return NO_SPAN

    def handling_batch(self, queue: str, carriers: Iterable[Mapping[str, Any]], count: int) -> NoSpan:
        """The handling of `count` messages together: a trace of its own, linked to theirs."""
        return NO_SPAN

    def continued(self, carrier: Mapping[str, Any]) -> NoSpan:
        """No span of its own, but whatever is made in it belongs to the trace in `carrier`."""
        return NO_SPAN

    def untraced(self) -> NoSpan:
        """Nothing in it is recorded, here or in a service that it calls."""
        return NO_SPAN

    def statement(self, text: str, database: str | None) -> Any:
        """An SQL statement with placeholders, as part of the trace at hand: to be ended with its error or None.

        None without a trace: what polls makes no traces.
        """
        return None

    def carrier(self) -> dict[str, str]:
        """The headers of the span at hand."""
        return {}

    def ids(self) -> tuple[str, str] | None:
        """Trace id and span id of the recorded span at hand, in hexadecimal."""
        return None


_spans: NoSpans = NoSpans()


def spans() -> NoSpans:
    """Where spans come from."""
    return _spans


def turn_on(spans: NoSpans) -> None:
    """From now on spans come from `spans`."""
    global _spans
    _spans = spans


def turn_off() -> None:
    """From now on there are none."""
    turn_on(NoSpans())
