"""Turns traces on when an OTLP endpoint is configured, by OpenTelemetry's own variables; else imports nothing of it.

What is left to OpenTelemetry's SDK: the sampler, the batches (`OTEL_BSP_*`), headers, certificates and the rest of the
exporter, resource attributes.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import eventlet

from shared import config as settings
from shared import tracing
from shared.config import ConfigurationError

log = logging.getLogger(__name__)

PROTOCOL = "http/protobuf"
SAMPLERS = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)
COMPRESSIONS = ("none", "gzip", "deflate")
# With the drain of `shared.run` this stays under the 10 s that a service may take to end.
FLUSH_LIMIT_S = 1.5

_provider: Any = None


def configure(service: str, environ: Mapping[str, str]) -> bool:
    """Whether traces are on now; raises ConfigurationError for a variable that has a wrong value."""
    endpoint = _endpoint(environ)
    if endpoint is None:
        return False
    _check(environ)
    _forget_empty()
    from shared.tracing_export import start

    global _provider
    _provider = start(service)
    log.info("traces are on", extra={"endpoint_from": endpoint})
    return True


def shut_down() -> None:
    """Send what is left, in FLUSH_LIMIT_S at most."""
    global _provider
    if _provider is None:
        return
    tracing.turn_off()
    provider, _provider = _provider, None
    with eventlet.Timeout(FLUSH_LIMIT_S, False):
        provider.shutdown()


def _endpoint(environ: Mapping[str, str]) -> str | None:
    """The variable that names the collector, None when traces are off."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    given = [name for name in names if environ.get(name, "").strip()]
    if not given or _choice(environ, ("OTEL_TRACES_EXPORTER",), ("otlp", "none")) == "none":
        return None
    settings.url(environ, given[0], ("http", "https"))
    return given[0]


def _check(environ: Mapping[str, str]) -> None:
    """The SDK takes its default, with a line in the log, where a value is wrong; here that is an error."""
    _choice(environ, ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"), (PROTOCOL,))
    _choice(environ, ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"), COMPRESSIONS)
    sampler = _choice(environ, ("OTEL_TRACES_SAMPLER",), SAMPLERS)
    if sampler is not None and sampler.endswith("traceidratio"):
        settings.number(environ, "OTEL_TRACES_SAMPLER_ARG", 1, 0, 1)
    for name in ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"):
        settings.number(environ, name, 10, 0.1, 600)
    queue = settings.whole_number(environ, "OTEL_BSP_MAX_QUEUE_SIZE", 2048, 1, 1_000_000)
    settings.whole_number(environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", min(512, queue), 1, queue)
    settings.whole_number(environ, "OTEL_BSP_SCHEDULE_DELAY", 5000, 1, 600_000)


def _forget_empty() -> None:
    """Empty means not set, here as everywhere; the SDK takes it for a value."""
    for name, value in list(os.environ.items()):
        if name.startswith("OTEL_") and not value.strip():
            del os.environ[name]


def _choice(environ: Mapping[str, str], names: Sequence[str], choices: Sequence[str]) -> str | None:
    """The value of the first of `names` that is set, None when none is."""
    for name in names:
        value = environ.get(name, "").strip().lower()
        if value and value not in choices:
            raise ConfigurationError(f"{name} must be {' or '.join(choices)}, not {value!r}.")
        if value:
            return value
    return None
