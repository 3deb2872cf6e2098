"""Gives each worker its span, as a dependency provider: `traces = Traces()` in a service.

HTTP requests have theirs already (`shared.http_app`) and hand it on. A timer has none, nor has what it does in other
services: the sweepers run every few seconds, mostly in vain, and say in the log what they have put right.
"""

from typing import Any
from weakref import WeakKeyDictionary

from nameko.events import EventHandler
from nameko.extensions import DependencyProvider
from nameko.rpc import Rpc
from nameko.timer import Timer

from shared import tracing
from shared.batch import BatchConsumer
from shared.event_batch import EventHandlerMany
from shared.tracing import NoSpan

HEADERS = ("traceparent", "tracestate")


class Traces(DependencyProvider):
    """Injects nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._spans: WeakKeyDictionary[Any, NoSpan] = WeakKeyDictionary()
        self._errors: WeakKeyDictionary[Any, BaseException] = WeakKeyDictionary()

    def worker_setup(self, worker_ctx: Any) -> None:
        if tracing.spans().is_on:
            self._spans[worker_ctx] = span_of(worker_ctx)
            self._spans[worker_ctx].__enter__()

    def worker_result(self, worker_ctx: Any, result: Any = None, exc_info: Any = None) -> None:
        if exc_info is not None and worker_ctx in self._spans:
            self._errors[worker_ctx] = exc_info[1]

    def worker_teardown(self, worker_ctx: Any) -> None:
        # Not before: what other providers log about the result still belongs to the trace.
        span, error = self._spans.pop(worker_ctx, None), self._errors.pop(worker_ctx, None)
        if span is not None:
            span.__exit__(None, error, None)


def span_of(worker_ctx: Any) -> NoSpan:
    """The span of a worker by its entrypoint; the trace's headers leave the worker's data, calls bring their own."""
    spans, entrypoint = tracing.spans(), worker_ctx.entrypoint
    carrier = {name: worker_ctx.data.pop(name, None) for name in HEADERS}
    if isinstance(entrypoint, Rpc):
        return spans.rpc_served(worker_ctx.service_name, entrypoint.method_name, carrier)
    if isinstance(entrypoint, EventHandlerMany) and len(worker_ctx.args[0]) > 1:
        events = worker_ctx.args[0]
        return spans.handling_batch(entrypoint.queue.name, (event.headers for event in events), len(events))
    if isinstance(entrypoint, EventHandler):
        return spans.handling(entrypoint.queue.name, carrier)
    if isinstance(entrypoint, BatchConsumer):
        deliveries = worker_ctx.args[0]
        return spans.handling_batch(
            entrypoint.queue.name, (delivery.headers for delivery in deliveries), len(deliveries)
        )
    if isinstance(entrypoint, Timer):
        return spans.untraced()
    return spans.continued(carrier)
