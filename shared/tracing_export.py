"""OpenTelemetry's SDK, wired up: imported only where traces are on.

Spans leave by a green thread, a batch every few seconds. A collector that is away costs the spans and a warning a
minute; what a full queue cannot take is dropped, and never makes anybody wait.
"""

import logging
import time
import uuid
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from shared import VERSION, tracing
from shared.tracing_spans import Spans

log = logging.getLogger(__name__)

WARN_EVERY_S = 60.0


class PatientExporter(SpanExporter):
    """Says in one line, once a minute, that another exporter fails."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lost, self._quiet_until = 0, 0.0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result, reason = self._exporter.export(spans), "it did not take them"
        except Exception as error:  # traces are no reason for anything else to fail
            result, reason = SpanExportResult.FAILURE, repr(error)
        if result is not SpanExportResult.SUCCESS:
            self._warn(len(spans), reason)
        return result

    def _warn(self, count: int, reason: str) -> None:
        self._lost += count
        if time.monotonic() >= self._quiet_until:
            log.warning("spans are lost: the collector fails", extra={"spans": self._lost, "reason": reason})
            self._lost, self._quiet_until = 0, time.monotonic() + WARN_EVERY_S

    def shutdown(self) -> None:
        self._exporter.shutdown()


def start(service: str) -> TracerProvider:
    """Trace from now on, as the environment says; the provider is to be shut down."""
    # It says each failure in several lines.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
    own = {"service.name": service, "service.version": VERSION, "service.instance.id": str(uuid.uuid4())}
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have the last word.
    resource = Resource.create(own).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(PatientExporter(OTLPSpanExporter())))
    tracing.turn_on(Spans(provider.get_tracer("shared.tracing", VERSION)))
    return provider
