"""The launcher with chosen services, several gateways on one address, and services added while it runs."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import eventlet
import pytest
import requests

from infrastructure.local import leftovers, ports, supervisor
from infrastructure.local.layout import ROOT, Layout
from infrastructure.local.token import make as make_token
from tests.conftest import PrivateParts, unique_name
from tests.waiting import eventually

LIMIT_S = 110
START_LIMIT_S = 60


@dataclass(frozen=True)
class Launcher:
    """The command line of the local stack, with a folder, a broker and databases of this module's own."""

    layout: Layout
    environment: dict[str, str]

    def run(self, command: str, **options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "infrastructure.local", command],
            cwd=ROOT,
            env={**os.environ, **self.environment, **options},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    @property
    def url(self) -> str:
        return self.layout.read_environment()["GATEWAY_URL"]

    def get(self, path: str) -> requests.Response:
        """On a connection of its own."""
        return requests.get(self.url + path, headers={"Authorization": self.rider, "Connection": "close"}, timeout=10)

    @property
    def rider(self) -> str:
        return "Bearer " + make_token(self.layout, {"ROLE": "rider"})

    def listened(self, process: str) -> int:
        """How often the process has begun to listen."""
        return self.layout.log(process).read_text().count('"message": "listening"')

    def pid(self, process: str) -> int | None:
        return leftovers.alive(self.layout.pids / process)


@pytest.fixture(scope="module")
def launcher(private_parts: PrivateParts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """With the gateway, twice, and bike_service running; nothing is left at the end."""
    folder: Path = tmp_path_factory.mktemp("chosen services")
    postgres = private_parts.postgres
    environment = {
        "BIKE_COMPANY_HOME": str(folder),
        "GATEWAY_ADDRESS": f"127.0.0.1:{ports.choose()}",
        "AMQP_URI": private_parts.rabbitmq.add_vhost(unique_name("chosen")),
        "BIKE_DATABASE_URL": postgres.create_database(unique_name("bikes")),
        "TRIP_DATABASE_URL": postgres.create_database(unique_name("trips")),
        "JWT_SECRET": secrets.token_hex(32),
    }
    launcher = Launcher(Layout(folder), environment)
    try:
        started = launcher.run("up", SERVICES="gateway bike", PROCESSES="gateway=2")
        assert started.returncode == 0, started.stdout
        yield launcher
    finally:
        running = [pid for file in launcher.layout.pids.iterdir() if (pid := leftovers.alive(file))]
        stopped = launcher.run("down")
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert running
    assert not any(os.path.exists(f"/proc/{pid}") for pid in running)


def test_the_chosen_services_run_and_no_other(launcher):
    names = [program.name for program in supervisor.states(launcher.layout)]
    assert sorted(names) == ["bike_service", "gateway_service_0", "gateway_service_1"]
    written = launcher.layout.read_environment()
    assert "TRIP_DATABASE_URL" not in written
    assert len(written["GATEWAY_METRICS_URLS"].split(",")) == 2
    status = launcher.run("status")
    assert (status.returncode, "GATEWAY_METRICS_URLS" in status.stdout) == (0, True)


def test_what_is_away_answers_at_once_and_the_rest_works(launcher):
    assert launcher.get("/v1/bikes").status_code == 200
    began = time.monotonic()
    answer = launcher.get("/v1/trips")
    assert time.monotonic() - began < 1
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"SERVICES": "bike"}, "runs already"),
        ({"SERVICES": "scooter"}, "the services are bike, trip, gateway"),
        ({"SERVICES": "trip", "AMQP_URI": "amqp://127.0.0.1:1/"}, "AMQP_URI is another"),
    ],
)
def test_what_cannot_be_added_is_refused(launcher, options, says):
    refused = launcher.run("run-in-background", **options)
    assert refused.returncode == 1
    assert says in refused.stderr


def test_a_gateway_that_is_told_to_stop_fails_no_request(launcher):
    before, listened = launcher.pid("gateway_service_0"), launcher.listened("gateway_service_0")
    assert before is not None
    statuses: list[int] = []

    def ask() -> None:
        while launcher.listened("gateway_service_0") == listened:
            statuses.append(launcher.get("/ping").status_code)

    asking = [eventlet.spawn(ask) for _ in range(4)]
    eventually(lambda: len(statuses) > 20)
    os.kill(before, signal.SIGTERM)
    with eventlet.Timeout(START_LIMIT_S):
        for each in asking:
            each.wait()
    assert set(statuses) == {200}


def test_a_gateway_that_is_killed_leaves_the_address_to_the_other(launcher):
    before, listened = launcher.pid("gateway_service_1"), launcher.listened("gateway_service_1")
    assert before is not None
    os.kill(before, signal.SIGKILL)
    eventually(lambda: launcher.pid("gateway_service_1") != before)
    assert launcher.get("/ping").status_code == 200
    eventually(lambda: launcher.listened("gateway_service_1") > listened, START_LIMIT_S)


def test_a_service_that_is_added_works(launcher):
    commands = [eventlet.spawn(launcher.run, "up", SERVICES="trip") for _ in range(2)]
    added, refused = sorted((each.wait() for each in commands), key=lambda done: done.returncode)
    assert added.returncode == 0, added.stdout + added.stderr
    assert "trip was added with 1 process" in added.stdout
    assert refused.returncode == 1
    assert "runs already" in refused.stdout + refused.stderr
    assert launcher.get("/v1/trips").json() == {"items": [], "next": None}
    assert launcher.get("/health").status_code == 200
    assert launcher.layout.read_environment()["TRIP_METRICS_URLS"].startswith("http://127.0.0.1:")
