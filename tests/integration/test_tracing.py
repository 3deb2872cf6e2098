"""Traces of the three services as real processes, as a collector gets them, and services without a collector."""

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PrivateParts
from tests.e2e.client import Api, Client, errors, ok
from tests.e2e.telemetry import position
from tests.integration.collector import Collector, Span, collecting, silent
from tests.stack import SERVICES, free_port, running_stack
from tests.waiting import eventually

RIDER = "a-rider-whom-nobody-may-know"
PLACE = (8.543217, 47.376543)
CLIENT_SPAN = "b7ad6b7169203331"
FAST = {"OTEL_BSP_SCHEDULE_DELAY": "100"}
HANDLER = "process evt-trip_service-trip_ended--bike_service.on_trip_ended"


@dataclass
class Ride:
    """A ride that was traced by its client from the first to the last request."""

    trace_id: str
    trip_id: str
    tokens: list[str]
    logs: Path
    collector: Collector

    def spans(self) -> list[Span]:
        return self.collector.of_trace(self.trace_id)


def ride(stack: Any, trace_id: str) -> tuple[str, list[str]]:
    """Rent, report, end, all in the trace; the trip's id and the tokens that were used."""
    api = Api(stack)
    operator, rider = api.operator(), api.rider(RIDER)
    bike = ok(operator.post("/v1/bikes", {"location": {"type": "Point", "coordinates": list(PLACE)}}), 201)
    traced = {"traceparent": f"00-{trace_id}-{CLIENT_SPAN}-01"}
    trip = ok(rider.post("/v1/trips", {"bike_id": bike["id"]}, headers=traced), 201)
    vehicle = api.vehicle(bike["id"])
    report = {"positions": [position((PLACE[0], PLACE[1]), battery_percent=61.25)]}
    errors(vehicle.post(f"/v1/bikes/{bike['id']}/positions?lat=47.376543", report, headers=traced))
    ok(vehicle.post(f"/v1/bikes/{bike['id']}/positions", report, headers=traced), 202)
    ok(rider.post(f"/v1/trips/{trip['id']}/end", {}, headers=traced))
    return trip["id"], [token_of(client) for client in (operator, rider, vehicle)]


def token_of(client: Client) -> str:
    return str(client._session.headers["Authorization"]).removeprefix("Bearer ")


def has(spans: list[Span], *names: str) -> bool:
    return all(any(str(span) == name for span in spans) for name in names)


@pytest.fixture(scope="module")
def traced_ride(private_parts: PrivateParts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ride]:
    logs = tmp_path_factory.mktemp("logs")
    with collecting() as collector:
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}
        with running_stack(private_parts, logs, **endpoint, **FAST) as stack:
            trace_id = secrets.token_hex(16)
            trip_id, tokens = ride(stack, trace_id)
            found = Ride(trace_id, trip_id, tokens, logs, collector)
            eventually(lambda: has(found.spans(), f"bike_service CONSUMER {HANDLER}"))
            eventually(lambda: {"bike_service", "trip_service"} <= {span.service for span in batches(found)})
        # Stopped: what was still waiting has been sent.
        yield found


def batches(ride: Ride) -> list[Span]:
    return [span for span in list(ride.collector.spans) if ride.trace_id in span.links]


def ways(spans: list[Span]) -> set[tuple[str, ...]]:
    """Each span as the way to it from the client's; fails unless all of them hang together."""
    by_id = {span.id: span for span in spans}
    assert len(by_id) == len(spans)

    def way(span: Span) -> tuple[str, ...]:
        if span.parent == CLIENT_SPAN:
            return (str(span),)
        assert span.parent in by_id, f"{span} hangs in the air"
        return (*way(by_id[span.parent]), str(span))

    return {tuple(step for step in way(span)) for span in spans}


def is_statement(span: Span) -> bool:
    return span.attributes.get("db.system.name") == "postgresql"


def test_a_ride_is_one_tree_through_all_services(traced_ride: Ride) -> None:
    spans = traced_ride.spans()
    requests = [span for span in spans if span.parent == CLIENT_SPAN]
    assert sorted(map(str, requests)) == [
        "gateway_service SERVER POST /v1/bikes/{bike_id}/positions",
        "gateway_service SERVER POST /v1/bikes/{bike_id}/positions",
        "gateway_service SERVER POST /v1/trips",
        "gateway_service SERVER POST /v1/trips/{trip_id}/end",
    ]
    found = ways([span for span in spans if not is_statement(span)])
    start = (
        "gateway_service SERVER POST /v1/trips",
        "gateway_service CLIENT trip_service/start_many",
        "trip_service SERVER trip_service/start_many",
    )
    end = (
        "gateway_service SERVER POST /v1/trips/{trip_id}/end",
        "gateway_service CLIENT trip_service/end_many",
        "trip_service SERVER trip_service/end_many",
    )
    assert found >= {
        (*start, "trip_service CLIENT bike_service/check_out_many", "bike_service SERVER bike_service/check_out_many"),
        (*start, "trip_service PRODUCER send trip_service.events:trip_started"),
        (*end, "trip_service CLIENT bike_service/check_in_many", "bike_service SERVER bike_service/check_in_many"),
        (*end, "trip_service PRODUCER send trip_service.events:trip_ended", f"bike_service CONSUMER {HANDLER}"),
        ("gateway_service SERVER POST /v1/bikes/{bike_id}/positions", "gateway_service PRODUCER send positions"),
    }
    assert not any(span.failed for span in spans)


@pytest.mark.parametrize(
    ("work", "operation", "table"),
    [
        ("bike_service SERVER bike_service/check_out_many", "UPDATE", "bikes"),
        ("trip_service SERVER trip_service/start_many", "INSERT", "trips"),
        ("trip_service SERVER trip_service/start_many", "INSERT", "outbox"),
        ("trip_service SERVER trip_service/end_many", "UPDATE", "trips"),
        (f"bike_service CONSUMER {HANDLER}", "INSERT", "inbox"),
    ],
)
def test_each_works_statements_hang_below_it(traced_ride: Ride, work: str, operation: str, table: str) -> None:
    spans = traced_ride.spans()
    ways(spans)
    parents = {span.id for span in spans if str(span) == work}
    texts = [
        span.attributes["db.query.text"]
        for span in spans
        if is_statement(span) and span.parent in parents and span.attributes["db.operation.name"] == operation
    ]
    assert any(f" {table} " in text for text in texts), texts


def test_batches_are_linked_to_the_ride(traced_ride: Ride) -> None:
    for span in batches(traced_ride):
        assert span.kind == "CONSUMER"
        assert span.parent == ""
        assert span.attributes["messaging.batch.message_count"] == 1
    statements = [span for span in traced_ride.collector.spans if is_statement(span)]
    for batch in batches(traced_ride):
        assert any(span.parent == batch.id for span in statements)


def test_what_polls_and_sweeps_makes_no_traces(traced_ride: Ride) -> None:
    roots = {span.kind for span in traced_ride.collector.spans if not span.parent}
    assert roots == {"SERVER", "CONSUMER"}
    names = {span.name for span in traced_ride.collector.spans}
    assert "bike_service/health" in names
    assert "bike_service/check_outs" not in names


def test_nothing_tells_who_rode_where(traced_ride: Ride) -> None:
    secrets_ = [RIDER, "8.543217", "47.376543", "61.25", *traced_ride.tokens]
    for span in traced_ride.collector.spans:
        assert not [secret for secret in secrets_ if secret in span.text], span.text


def test_a_process_says_who_it_is(traced_ride: Ride) -> None:
    resources = traced_ride.collector.resources
    assert set(resources) == set(SERVICES)
    assert len({resource["service.instance.id"] for resource in resources.values()}) == 3
    assert {resource["service.version"] for resource in resources.values()} == {"0.1.0"}


@pytest.mark.parametrize(
    ("service", "logger", "name"),
    [
        ("gateway_service", "http.access", "POST /v1/trips"),
        ("trip_service", "calls", "trip_service/start_many"),
        ("bike_service", "calls", HANDLER),
    ],
)
def test_log_lines_name_the_span_they_belong_to(traced_ride: Ride, service: str, logger: str, name: str) -> None:
    [span] = [
        each for each in traced_ride.spans() if each.service == service and each.name == name and each.kind != "CLIENT"
    ]
    found = [line for line in lines(traced_ride.logs, service) if line.get("span_id") == span.id]
    assert {line["trace_id"] for line in found} == {traced_ride.trace_id}
    assert logger in {line["logger"] for line in found}


def lines(logs: Path, service: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (logs / f"{service}.log").read_text().splitlines()]


@pytest.mark.parametrize("collector", ["absent", "silent"])
def test_services_work_and_end_without_a_collector(collector: str, private_parts: PrivateParts, tmp_path: Path) -> None:
    with silent() as url:
        endpoint = url if collector == "silent" else f"http://127.0.0.1:{free_port()}"
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_TIMEOUT": "1", **FAST}
        with running_stack(private_parts, tmp_path, **settings) as stack:
            for _ in range(5):
                ride(stack, secrets.token_hex(16))
            for service in SERVICES:
                eventually(lambda service=service: warnings(tmp_path, service))  # type: ignore[misc]
            asked = time.monotonic()
        assert time.monotonic() - asked < 10
    for service in SERVICES:
        assert len(warnings(tmp_path, service)) == 1
        assert [line for line in (tmp_path / f"{service}.log").read_text().splitlines() if "Traceback" in line] == []
        assert not [line for line in lines(tmp_path, service) if line["logger"].startswith("opentelemetry")]


def warnings(logs: Path, service: str) -> list[str]:
    text = (logs / f"{service}.log").read_text()
    return [line for line in text.splitlines() if "spans are lost: the collector fails" in line]
