"""Spans kept in memory instead of sent."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared import tracing
from shared.tracing_spans import Spans


class Traced:
    """What was recorded so far."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    @property
    def only(self) -> ReadableSpan:
        [span] = self.spans
        return span


@contextmanager
def recording(**options: Any) -> Iterator[Traced]:
    """Traces are on, with options of a TracerProvider."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False, **options)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.turn_on(Spans(provider.get_tracer("tests")))
    try:
        yield Traced(exporter)
    finally:
        tracing.turn_off()
