"""The three services as processes: after rides, what they count agrees with what was done, and with each other."""

import json
import re
import secrets
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from infrastructure.local import ports
from shared import VERSION, jwt, message_metrics, rpc_metrics
from shared.fields import format_time
from shared.metrics import DEFECT, OK
from tests import observability
from tests.conftest import PrivateParts, unique_name
from tests.integration.broker import Broker
from tests.integration.builders import query
from tests.integration.conftest import as_sqlalchemy
from tests.integration.processes import ROOT, Process, Scrape, running_process
from tests.promql import OF_THE_TARGET, uses
from tests.waiting import eventually

Json = dict[str, Any]
SECRET = secrets.token_hex(32)
OUTCOMES = {OK, DEFECT, rpc_metrics.EXPIRED, message_metrics.RETRIED}
METHODS = {"other", "GET", "get", "list"}


@dataclass(frozen=True)
class Company:
    """The services, running, and who talks to them."""

    gateway: Process
    bikes: Process
    trips: Process
    url: str
    amqp_uri: str
    trip_database_url: str

    def call(self, method: str, path: str, role: str, sub: str = "olga", **options: Any) -> requests.Response:
        token = jwt.mint(SECRET, role, sub, timedelta(hours=1))
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        return requests.request(method, self.url + path, headers=headers, timeout=10, **options)

    def scrapes(self) -> tuple[Scrape, Scrape, Scrape]:
        """Of gateway, bike_service and trip_service."""
        return self.gateway.scrape(), self.bikes.scrape(), self.trips.scrape()


@pytest.fixture(scope="module")
def company(private_parts: PrivateParts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    folder, vhost = tmp_path_factory.mktemp("company"), unique_name("metrics")
    amqp_uri = private_parts.rabbitmq.add_vhost(vhost)
    bikes_url = private_parts.postgres.create_database(unique_name("bikes"))
    trips_url = private_parts.postgres.create_database(unique_name("trips"))
    address = f"127.0.0.1:{ports.choose()}"
    common = {"AMQP_URI": amqp_uri, "PROCESS_NUMBER": "0"}
    with ExitStack() as stack:
        bikes = stack.enter_context(running_process("bike_service", {**common, "BIKE_DATABASE_URL": bikes_url}, folder))
        trips = stack.enter_context(running_process("trip_service", {**common, "TRIP_DATABASE_URL": trips_url}, folder))
        gateway_settings = {**common, "JWT_SECRET": SECRET, "GATEWAY_ADDRESS": address}
        gateway = stack.enter_context(running_process("gateway_service", gateway_settings, folder))
        for process in (bikes, trips, gateway):
            process.wait_for("ok")
        yield Company(gateway, bikes, trips, f"http://{address}", amqp_uri, as_sqlalchemy(trips_url))
    private_parts.rabbitmq.delete_vhost(vhost)


def position(bike_id: str, recorded_at: datetime, longitude: float = 8.54) -> Json:
    place = {"type": "Point", "coordinates": [longitude, 47.37]}
    return {"bike_id": bike_id, "recorded_at": format_time(recorded_at), "location": place}


def grown(now: Scrape, then: Scrape, name: str, **labels: str) -> float:
    """By how much these series, those that are not there being zero, have grown."""
    return _value(now, name, **labels) - _value(then, name, **labels)


def _value(scrape: Scrape, name: str, **labels: str) -> float:
    return scrape.value(name, **labels) if scrape.has(name, **labels) else 0


def test_what_is_counted_adds_up_with_what_was_done(company: Company) -> None:
    before_gateway, before_bikes, before_trips = company.scrapes()
    bike_ids = [company.call("POST", "/v1/bikes", "operator").json()["id"] for _ in range(3)]
    trips = [
        company.call("POST", "/v1/trips", "rider", f"rider {n}", json={"bike_id": bike_id}).json()
        for n, bike_id in enumerate(bike_ids)
    ]
    taken = company.call("POST", "/v1/trips", "rider", "late", json={"bike_id": bike_ids[0]})
    assert taken.status_code == 409
    now = datetime.now(UTC)
    reported = [position(bike_id, now + timedelta(seconds=n)) for bike_id in bike_ids for n in range(4)]
    for _ in range(2):  # the second time nothing is new
        response = company.call("POST", "/v1/positions", "operator", json={"positions": reported})
        assert response.json() == {"accepted": 12}
    company.call("POST", "/v1/positions", "operator", json={"positions": [position(str(uuid.uuid4()), now)]})
    for n in range(2):
        assert company.call("POST", f"/v1/trips/{trips[n]['id']}/end", "rider", f"rider {n}").status_code == 200
    assert company.call("POST", f"/v1/trips/{trips[2]['id']}/cancel", "operator").status_code == 200

    def all_done() -> bool:
        bikes, trips = company.bikes.scrape(), company.trips.scrape()
        return (
            grown(trips, before_trips, "positions_stored_total") == 13
            and grown(trips, before_trips, "positions_repeated_total") == 12
            and grown(bikes, before_bikes, "events_handled_total", outcome="ok") == 3
            and grown(bikes, before_bikes, "positions_applied_total") == 24
            and bikes.has("dead_letters_total")
        )

    eventually(all_done, timeout=15)
    gateway, bikes, trip_service = company.scrapes()
    assert grown(gateway, before_gateway, "positions_accepted_total") == 25
    [[stored]] = query(company.trip_database_url, "SELECT count(*) FROM positions")
    assert trip_service.value("positions_stored_total") == stored == 13
    assert grown(bikes, before_bikes, "bike_moves_total") == 3
    assert grown(bikes, before_bikes, "dead_letters_total", queue="bike_service.positions", reason="unknown_bike") == 1
    started = {"method": "POST", "route": "/v1/trips"}
    assert grown(gateway, before_gateway, "http_requests_total", status="201", **started) == 3
    assert grown(gateway, before_gateway, "http_requests_total", status="409", **started) == 1
    assert grown(gateway, before_gateway, "http_request_duration_seconds_count", **started) == 4
    assert gateway.value("http_requests_in_progress") == 0
    assert grown(trip_service, before_trips, "trips_started_total") == 3
    assert grown(trip_service, before_trips, "trips_ended_total", ended_by="rider") == 2
    assert grown(trip_service, before_trips, "trips_cancelled_total") == 1
    # Both ends of each remote call agree.
    for outcome, calls in (("ok", 3), ("Conflict", 1)):
        made = grown(gateway, before_gateway, "rpc_calls_total", target="trip_service", method="start", outcome=outcome)
        served = grown(trip_service, before_trips, "rpc_requests_total", method="trip_service.start", outcome=outcome)
        assert made == served == calls
    check_outs = {"target": "bike_service", "method": "check_out"}
    assert grown(trip_service, before_trips, "rpc_calls_total", **check_outs) == 4
    assert grown(bikes, before_bikes, "rpc_requests_total", method="bike_service.check_out") == 4
    # What one service publishes, the other handles.
    assert grown(trip_service, before_trips, "events_published_total", type="trip_started") == 3
    for event_type, number in (("trip_ended", 2), ("trip_cancelled", 1)):
        assert grown(trip_service, before_trips, "events_published_total", type=event_type) == number
        handled = {"source": "trip_service", "type": event_type, "handler": f"on_{event_type}", "outcome": "ok"}
        assert grown(bikes, before_bikes, "events_handled_total", **handled) == number
        assert grown(bikes, before_bikes, "event_handling_duration_seconds_sum", type=event_type) > 0
    for service, scrape in (("bike_service", bikes), ("trip_service", trip_service)):
        queue = f"{service}.positions"
        assert scrape.value("batch_messages_sum", queue=queue) == 3
        assert scrape.value("batches_total", queue=queue, outcome="ok") == scrape.value(
            "batch_messages_count", queue=queue
        )


def all_probes_up(process: Process) -> bool:
    """Whether all figures were there in time, as they may not be on a busy machine."""
    scrape = process.scrape()
    return scrape.value("probe_up") == sum(name == "bike_company_probe_up" for name, _ in scrape.samples)


def test_what_stands_is_shown(company: Company) -> None:
    for process in (company.gateway, company.bikes, company.trips):
        scrape = process.scrape()
        assert scrape.value("build_info", version=VERSION, service=process.name) == 1
        assert scrape.value("publisher_connected") == 1
        assert scrape.value("publisher_connections_total") == 1
    bike = company.call("POST", "/v1/bikes", "operator").json()
    trip = company.call("POST", "/v1/trips", "rider", "standing", json={"bike_id": bike["id"]}).json()
    rows = company.call("GET", "/v1/bikes", "operator").json()["items"]
    in_use = sum(row["status"] == "in_use" for row in rows)

    def shown() -> bool:
        bikes, trips = company.bikes.scrape(), company.trips.scrape()
        if not (bikes.has("bikes") and trips.has("active_trips")):
            return False  # measured too late for this scrape
        return bikes.value("bikes", status="in_use") == trips.value("active_trips") == in_use

    eventually(shown, timeout=15)
    eventually(lambda: all_probes_up(company.bikes) and all_probes_up(company.trips), timeout=15)
    bikes, trips = company.bikes.scrape(), company.trips.scrape()
    assert bikes.value("bikes", status="retired") == 0
    for scrape in (bikes, trips):
        assert scrape.value("outbox_events") == 0
        assert scrape.value("outbox_oldest_age_seconds") == 0
        assert scrape.value("database_pool_size", pool="requests") == 20
        assert scrape.value("database_pool_limit", pool="requests") == 30
        assert scrape.value("probe_up", probe="outbox") == scrape.value("probe_up", probe="queues") == 1
        # Each sees the other's queue too, so that somebody tells when nobody consumes it.
        for queue in ("bike_service.positions", "trip_service.positions"):
            assert scrape.value("queue_consumers", queue=queue) == 1
    assert bikes.value("queue_consumers", queue="evt-trip_service-trip_ended--bike_service.on_trip_ended") == 1
    assert trips.value("queue_consumers", queue="rpc-trip_service") == 1
    company.call("POST", f"/v1/trips/{trip['id']}/end", "rider", "standing")


def test_dead_letters_are_seen_whoever_made_them(company: Company) -> None:
    queue = "evt-trip_service-trip_ended--bike_service.on_trip_ended"
    before = company.bikes.scrape()
    broker = Broker(company.amqp_uri)
    broker.publish("", queue, b"no JSON")
    broker.publish("", queue, {"id": "wrong"})

    def both_lie_there() -> bool:
        scrape = company.bikes.scrape()
        name, labels = "dead_letter_queue_messages", {"queue": f"{queue}.dead"}
        return scrape.has(name, **labels) and scrape.value(name, **labels) == 2

    eventually(both_lie_there, timeout=15)
    after = company.bikes.scrape()
    for reason in ("unreadable", "invalid"):
        assert after.value("dead_letters_total", queue=queue, reason=reason) == 1
    handled = {"type": "trip_ended", "outcome": "dead"}
    assert after.value("events_handled_total", **handled) == 2
    assert not before.has("events_handled_total", **handled)
    broker.close()


def test_no_caller_can_make_a_series(company: Company) -> None:
    before = company.gateway.scrape().samples.keys()
    for n in range(5):
        requests.request(f"MADEUP{n}", f"{company.url}/v1/bikes", timeout=5)
        company.call("GET", f"/v1/bikes/{uuid.uuid4()}", "operator")
        company.call("GET", f"/nothing/{n}", "operator")
        company.call("GET", f"/v1/bikes?cursor={n}", "operator")
    new = company.gateway.scrape().samples.keys() - before
    values = {value for _, labels in new for _, value in labels}
    assert "unmatched" in values
    assert {value for _, labels in new for label, value in labels if label == "method"} <= {
        "other",
        "GET",
        "get_many",
        "list",
    }
    assert {value for _, labels in new for label, value in labels if label == "route"} <= {
        "unmatched",
        "/v1/bikes",
        "/v1/bikes/{bike_id}",
    }


def test_each_line_of_a_request_has_its_id_chain_duration_and_process(company: Company) -> None:
    request_id = str(uuid.uuid4())
    bike = company.call("POST", "/v1/bikes", "operator").json()
    asked = {"json": {"bike_id": bike["id"]}, "headers": {"X-Request-ID": request_id}}
    trip = company.call("POST", "/v1/trips", "rider", "traced", **asked).json()
    company.call("POST", f"/v1/trips/{trip['id']}/end", "rider", "traced", headers={"X-Request-ID": request_id})

    def lines() -> list[Json]:
        found = []
        for process in (company.gateway, company.bikes, company.trips):
            logged = map(json.loads, process.log.read_text().splitlines())
            found += [line for line in logged if line["request_id"] == request_id]
        return found

    eventually(lambda: any(line["message"] == "bike_service.on_trip_ended" for line in lines()))
    logged = {(line["service"], line["message"]): line for line in lines()}
    assert {("gateway_service", "POST /v1/trips 201"), ("trip_service", "trip_service.start")} <= logged.keys()
    assert all(line["process"] == 0 and line["duration_ms"] >= 0 and line["call_id_stack"] for line in logged.values())
    chain = logged["bike_service", "bike_service.check_out"]["call_id_stack"]
    steps = ["gateway_service.start_trip", "trip_service.start", "bike_service.check_out"]
    assert [".".join(call.split(".")[:2]) for call in chain] == steps
    [access] = [line for line in lines() if line["message"] == "POST /v1/trips 201"]
    assert access["call_id_stack"] == chain[:1]


def test_a_replay_and_the_metrics_have_the_same_numbers(company: Company) -> None:
    before_gateway, before_bikes, before_trips = company.scrapes()
    ended = subprocess.run(
        [sys.executable, "-m", "replay", "--rides", "20", "--speed", "6000", "--gateway", company.url],
        cwd=ROOT,
        env={**company.gateway.environment, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr

    def of_the_table(row: str) -> int:
        """The system's number in a row of replay's table."""
        [line] = [line for line in ended.stdout.splitlines() if row in line]
        return int(re.findall(r"[\d,]+", line)[-1].replace(",", ""))

    rides, points = of_the_table("rides ended"), of_the_table("distinct points")
    assert (rides, points > 100) == (20, True)
    published = {"type": "trip_ended"}
    eventually(lambda: grown(company.bikes.scrape(), before_bikes, "events_handled_total", **published) == rides)
    gateway, bikes, trips = company.scrapes()
    assert grown(trips, before_trips, "trips_started_total") == rides
    assert grown(trips, before_trips, "trips_ended_total", ended_by="rider") == rides
    assert grown(trips, before_trips, "events_published_total", **published) == rides
    assert grown(trips, before_trips, "positions_stored_total") == points
    accepted = grown(gateway, before_gateway, "positions_accepted_total")
    assert accepted == points + grown(trips, before_trips, "positions_repeated_total")
    assert accepted == grown(bikes, before_bikes, "positions_applied_total")


def test_what_alerts_and_dashboard_name_is_there(company: Company) -> None:
    """Runs last: everything has been in use."""
    eventually(lambda: all_probes_up(company.bikes) and all_probes_up(company.trips), timeout=15)
    there: dict[str, set[str]] = {"up": set()}
    values: set[tuple[str, str]] = {("outcome", outcome) for outcome in OUTCOMES}
    for scrape in company.scrapes():
        for name, labels in scrape.labels_of().items():
            there.setdefault(name, set()).update(labels)
        values |= {pair for _, labels in scrape.samples for pair in labels}
    asked = [use for expression in observability.expressions() for use in uses(expression)]
    assert {use.series for use in asked} <= there.keys()
    for use in asked:
        assert use.labels <= there[use.series] | OF_THE_TARGET, use
        assert {pair for pair in use.equal if pair[0] != "job"} <= values, use
    ours = {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in there}
    shown = {use.series.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for use in asked}
    assert {name for name in ours - shown if name.startswith("bike_company_")} == set()
