import importlib
import tomllib
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from sqlalchemy.exc import OperationalError

from shared import VERSION
from shared.errors import Conflict, DeadlineExceeded, Unavailable
from shared.http_metrics import OTHER, UNMATCHED
from shared.metrics import TimedCounter, outcome_of
from shared.publisher import Unroutable
from tests.unit.gateway_app import BIKE, BIKE_ID, CONTAINER, FakeService, gateway, token


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "ok"),
        (Conflict("Taken."), "Conflict"),
        (DeadlineExceeded("Late."), "DeadlineExceeded"),
        # A class of another module counts as the one that callers know.
        (Unroutable("Nobody."), "Unavailable"),
        (Unavailable("Away."), "Unavailable"),
        (ConnectionResetError(), "Unavailable"),
        (OperationalError("SELECT", {}, Exception("away")), "Unavailable"),
        (KeyError("id"), "defect"),
    ],
)
def test_an_outcome_is_one_of_few_words(error: Exception | None, outcome: str) -> None:
    assert outcome_of(error) == outcome


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def test_a_timed_counter_counts_by_outcome_and_times_without_it() -> None:
    timed = TimedCounter("tests_done", "test", "Tests", ["kind", "outcome"])
    assert value("bike_company_tests_done_total", kind="a", outcome="ok") is None
    timed.begin("a", "ok")
    assert value("bike_company_tests_done_total", kind="a", outcome="ok") == 0
    for seconds, outcome in ((0.002, "ok"), (0.2, "ok"), (7.0, "defect")):
        timed.record(seconds, "a", outcome)
    assert value("bike_company_tests_done_total", kind="a", outcome="ok") == 2
    assert value("bike_company_tests_done_total", kind="a", outcome="defect") == 1
    assert value("bike_company_test_duration_seconds_count", kind="a") == 3
    assert value("bike_company_test_duration_seconds_bucket", kind="a", le="0.25") == 2
    assert value("bike_company_test_duration_seconds_sum", kind="a") == pytest.approx(7.202)


def http_labels() -> set[tuple[str, str, str]]:
    return {
        (s.labels["method"], s.labels["route"], s.labels["status"])
        for family in REGISTRY.collect()
        for s in family.samples
        if s.name == "bike_company_http_requests_total"
    }


def test_requests_are_counted_by_the_template_of_their_route() -> None:
    client = gateway(bikes=FakeService(get=BIKE))
    labels = {"method": "GET", "route": "/v1/bikes/{bike_id}", "status": "200"}
    before = value("bike_company_http_requests_total", **labels) or 0
    client.get(f"/v1/bikes/{BIKE_ID}", headers=token("operator"))
    assert value("bike_company_http_requests_total", **labels) == before + 1
    assert value("bike_company_http_requests_in_progress") == 0


def test_nothing_that_a_client_makes_up_becomes_a_label() -> None:
    client, before = gateway(), http_labels()
    for method in ("BREW", "get", "X" * 300):
        client.open("/v1/bikes", method=method)
    for path in ("/wp-login.php", "/v1/bikes/1/2/3", "/%00", "/v1/bikes/" + "x" * 300, "/v1/trips/\u00fc"):
        client.get(path, headers=token("operator"))
    routes = {entrypoint.route.path for entrypoint in CONTAINER.server._providers} | {UNMATCHED}
    methods = {entrypoint.route.method for entrypoint in CONTAINER.server._providers} | {"HEAD", "OPTIONS", OTHER}
    # Other tests of this process have routes of their own.
    new = http_labels() - before
    assert {method for method, _, _ in new} <= methods
    assert {route for _, route, _ in new} <= routes
    assert (OTHER, "/v1/bikes", "405") in http_labels() or (OTHER, UNMATCHED, "405") in http_labels()
    assert ("GET", UNMATCHED, "404") in http_labels()


def test_every_metric_has_our_name_a_text_and_a_base_unit() -> None:
    for service in ("bike_service", "gateway_service", "trip_service"):
        importlib.import_module(f"{service}.service")
    ours = [family for family in REGISTRY.collect() if family.name.startswith("bike_company_")]
    assert len(ours) > 30
    for family in ours:
        assert family.documentation.endswith("."), family.name
        assert not family.name.endswith(("_ms", "_milliseconds", "_minutes")), family.name
        assert family.type != "histogram" or family.name.endswith(("_seconds", "_messages")), family.name


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION
