"""Turning traces on: OpenTelemetry's variables, and nothing imported while they are off."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from shared import VERSION, tracing, tracing_export, tracing_setup
from shared.config import ConfigurationError
from shared.tracing_export import PatientExporter

ROOT = Path(__file__).parents[2]

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
SERVICES = "import gateway_service.service, bike_service.service, trip_service.service"
FOUND = "print(sorted(name for name in sys.modules if name.startswith('opentelemetry')))"


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The services that were started; the real thing needs the process's own environment."""
    started: list[str] = []
    monkeypatch.setattr(tracing_export, "start", started.append)
    yield started
    tracing_setup._provider = None


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {**ENDPOINT, "OTEL_SDK_DISABLED": "TRUE"},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_they_are_off_without_a_collector(environ: dict[str, str], start: list[str]) -> None:
    assert not tracing_setup.configure("bike_service", environ)
    assert start == []


@pytest.mark.parametrize(
    "environ",
    [
        ENDPOINT,
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector/v1/traces"},
        {**ENDPOINT, "OTEL_SDK_DISABLED": "false", "OTEL_TRACES_EXPORTER": "otlp"},
        {**ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {**ENDPOINT, "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"},
    ],
)
def test_they_are_on_with_one(environ: dict[str, str], start: list[str]) -> None:
    assert tracing_setup.configure("bike_service", environ)
    assert start == ["bike_service"]


def test_the_sdk_sees_no_empty_variable(start: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ENDPOINT, "OTEL_TRACES_SAMPLER": "", "OTEL_TRACES_SAMPLER_ARG": " "}.items():
        monkeypatch.setenv(name, value)
    assert tracing_setup.configure("bike_service", os.environ)
    assert {name for name in os.environ if name.startswith("OTEL_")} == set(ENDPOINT)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://collector"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str, start: list[str]) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} must be "):
        tracing_setup.configure("bike_service", {**ENDPOINT, name: value})
    assert start == []


def test_a_ratio_is_a_ratio(start: list[str]) -> None:
    environ = {**ENDPOINT, "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "50"}
    with pytest.raises(ConfigurationError, match=r"^OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1"):
        tracing_setup.configure("bike_service", environ)


def in_a_process(code: str, environ: dict[str, str]) -> str:
    """What `code` prints in a process of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    command = [sys.executable, "-W", "ignore", "-c", f"import os, sys\n{code}"]
    return subprocess.run(
        command, cwd=ROOT, env={**inherited, **environ}, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_while_they_are_off_nothing_of_opentelemetry_is_imported() -> None:
    code = (
        f"import shared.run, shared.tracing_setup\n{SERVICES}\nshared.tracing_setup.configure('x', os.environ)\n{FOUND}"
    )
    assert in_a_process(code, {}) == "[]"


def test_the_resource_is_the_service_unless_the_operator_names_it() -> None:
    code = (
        "import shared.run, shared.tracing_setup as setup\n"
        "setup.configure('bike_service', os.environ)\n"
        "found = setup._provider.resource.attributes\n"
        "print(*(found[f'service.{each}'] for each in ('name', 'version', 'namespace')), found['service.instance.id'])"
    )
    named = {**ENDPOINT, "OTEL_RESOURCE_ATTRIBUTES": "service.namespace=fleet"}
    name, version, namespace, instance = in_a_process(code, named).split()
    assert (name, version, namespace) == ("bike_service", VERSION, "fleet")
    assert len(instance) == 36
    assert in_a_process(code, {**named, "OTEL_SERVICE_NAME": "mine"}).startswith(f"mine {VERSION} fleet")


class Broken(SpanExporter):
    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def export(self, spans: Sequence[Any]) -> SpanExportResult:
        if self.error:
            raise self.error
        return SpanExportResult.FAILURE


@pytest.mark.parametrize("error", [None, RuntimeError("odd")])
def test_a_collector_that_is_away_costs_one_line(error: Exception | None, caplog: pytest.LogCaptureFixture) -> None:
    exporter = PatientExporter(Broken(error))
    with caplog.at_level(logging.WARNING):
        assert [exporter.export([None] * 3) for _ in range(5)] == [SpanExportResult.FAILURE] * 5  # type: ignore[list-item]
    [record] = caplog.records
    assert record.exc_info is None
    assert vars(record)["spans"] == 3


def test_shutting_down_without_traces_does_nothing() -> None:
    tracing_setup.shut_down()
    assert not tracing.spans().is_on
