"""What a process says of itself while what it needs is away, frozen, and back."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infrastructure.local import ports
from tests.conftest import PrivateParts, unique_name
from tests.integration.processes import ROOT, Process, running_process
from tests.integration.tcp_proxy import TcpProxy, in_front_of
from tests.waiting import eventually

# What is promised, and a little for a busy machine.
HEALTH_LIMIT_S, SCRAPE_LIMIT_S = 2.0, 2.5
Parts = tuple[TcpProxy, TcpProxy, dict[str, str]]


@pytest.fixture
def parts(amqp_uri: str, private_parts: PrivateParts) -> Iterator[Parts]:
    """Proxies before broker and database, and bike_service's settings through them."""
    database = private_parts.postgres.create_database(unique_name("status"))
    with in_front_of(amqp_uri) as (broker, uri), in_front_of(database) as (postgres, url):
        yield broker, postgres, {"AMQP_URI": uri, "BIKE_DATABASE_URL": url}


def timed_health(process: Process) -> dict[str, str]:
    """The checks of `/health`, which must come in time; empty when all is well."""
    began = time.monotonic()
    report = process.health()
    assert time.monotonic() - began < HEALTH_LIMIT_S
    checks: dict[str, str] = report.get("checks", {})
    return checks


def has_figures(process: Process) -> bool:
    scrape = process.scrape()
    return scrape.has("bikes", status="available") and scrape.has("queue_consumers") and scrape.has("outbox_events")


def test_a_process_answers_from_its_start_on_and_whatever_is_frozen(parts: Parts, tmp_path: Path) -> None:
    broker, postgres, settings = parts
    broker.refuse()
    postgres.refuse()
    with running_process("bike_service", settings, tmp_path) as process:
        process.wait_for("starting")
        assert process.get("/health").status_code == 503
        # It waits for the database; what it counts by itself is there already.
        scrape = process.scrape()
        assert scrape.value("build_info", service="bike_service") == 1
        assert not scrape.has("outbox_events")
        postgres.restore()
        broker.restore()
        process.wait_for("ok")
        assert process.get("/health").status_code == 200
        assert healthcheck(process) == 0
        eventually(lambda: has_figures(process), timeout=20)

        postgres.pause()
        began = time.monotonic()
        assert timed_health(process) == {"broker": "ok", "database": "unavailable"}
        assert process.get("/health").status_code == 503
        assert healthcheck(process) == 1
        eventually(lambda: not process.scrape().has("bikes"), timeout=20)
        for _ in range(3):
            began = time.monotonic()
            scrape = process.scrape()
            assert time.monotonic() - began < SCRAPE_LIMIT_S
        assert scrape.value("probe_up", probe="outbox") == scrape.value("probe_up", probe="bikes") == 0
        assert not scrape.has("outbox_oldest_age_seconds")
        eventually(lambda: process.scrape().value("probe_up", probe="queues") == 1, timeout=20)
        eventually(lambda: process.scrape().value("probe_failures_total", probe="bikes") > 0, timeout=20)

        broker.pause()
        assert timed_health(process) == {"broker": "unavailable", "database": "unavailable"}
        eventually(lambda: process.scrape().value("probe_up", probe="queues") == 0, timeout=20)

        postgres.restore()
        broker.restore()
        process.wait_for("ok")
        eventually(lambda: has_figures(process), timeout=30)
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(timeout=12) == 0


def healthcheck(process: Process) -> int:
    """The exit code of the container's health check."""
    command = [sys.executable, "-m", "shared.healthcheck"]
    return subprocess.run(command, cwd=ROOT, env=process.environment, capture_output=True, check=False).returncode


def test_a_health_check_does_not_wait_for_a_process_that_is_stuck() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        environment = {"METRICS_ADDRESS": f"127.0.0.1:{silent.getsockname()[1]}"}
        command = [sys.executable, "-m", "shared.healthcheck"]
        ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stdout.startswith("no answer")
    assert 2.5 < time.monotonic() - began < 6


@pytest.mark.parametrize("how", ["wrong", "taken", "number"])
def test_an_address_that_cannot_be_is_one_clear_line(how: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        says, settings = {
            "wrong": ("METRICS_ADDRESS must be host:port", {"METRICS_ADDRESS": "nine"}),
            "taken": (f"Cannot listen on {taken}", {"METRICS_ADDRESS": taken}),
            "number": ("PROCESS_NUMBER must be a whole number", {"PROCESS_NUMBER": "1.5"}),
        }[how]
        environment = {"AMQP_URI": "amqp://x/", "BIKE_DATABASE_URL": "postgresql://x/y", **settings}
        command = [sys.executable, "-m", "shared.run", "bike_service"]
        ended = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    assert ended.returncode == 2
    assert len(ended.stderr.strip().splitlines()) == 1
    assert says in ended.stderr
    assert "METRICS_ADDRESS" in ended.stderr or how == "number"


def test_each_process_of_a_service_has_a_port_of_its_own(parts: Parts, tmp_path: Path) -> None:
    first = ports.choose()
    number = {"METRICS_ADDRESS": f"127.0.0.1:{first}", "PROCESS_NUMBER": "1"}
    parts[1].refuse()
    with running_process("bike_service", {**parts[2], **number}, tmp_path) as process:
        process.status_url = f"http://127.0.0.1:{first + 1}"
        process.wait_for("starting")
        assert '"process": 1' in process.log.read_text()
