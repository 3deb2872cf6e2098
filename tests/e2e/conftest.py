"""The three services as real processes, on a vhost and databases of their own, or a stack that runs already."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
import requests

from tests.conftest import PrivateParts, unique_name
from tests.e2e.client import Stack
from tests.e2e.fixtures import *  # noqa: F403 - pytest finds fixtures by name in a conftest
from tests.e2e.given_stack import given_stack

ROOT = Path(__file__).parents[2]
SERVICES = ("bike_service", "trip_service", "gateway_service")


@dataclass(frozen=True)
class RunningStack:
    """Where the stack of this run answers."""

    gateway_url: str
    amqp_uri: str
    bike_database_url: str
    trip_database_url: str
    admin_database_url: str
    jwt_secret: str
    log_folder: Path


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start_service(name: str, environment: dict[str, str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    """One service as a process of its own, logging to `log`."""
    command = [sys.executable, "-W", "ignore", "-m", "shared.run", name]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def wait_until_healthy(gateway_url: str, processes: list[subprocess.Popen[bytes]], logs: Path) -> None:
    """Return once `/health` is 200; fails with the logs' ends after 60 s, or when a process has ended."""
    until = time.monotonic() + 60
    while time.monotonic() < until and all(process.poll() is None for process in processes):
        try:
            if requests.get(f"{gateway_url}/health", timeout=3).status_code == 200:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    ends = "\n".join(f"== {log.name}\n{log.read_text()[-2000:]}" for log in sorted(logs.glob("*.log")))
    raise AssertionError(f"the stack did not become healthy\n{ends}")


@contextmanager
def running_stack(parts: PrivateParts, logs: Path, settings: Mapping[str, str] | None = None) -> Iterator[RunningStack]:
    """A stack with more `settings`; at the end every service has to end with 0 in time."""
    postgres = parts.postgres
    running = RunningStack(
        gateway_url=f"http://127.0.0.1:{free_port()}",
        amqp_uri=parts.rabbitmq.add_vhost(unique_name("e2e")),
        bike_database_url=postgres.create_database(unique_name("bikes")),
        trip_database_url=postgres.create_database(unique_name("trips")),
        admin_database_url=postgres.admin_url,
        jwt_secret=secrets.token_hex(32),
        log_folder=logs,
    )
    environment = {
        "AMQP_URI": running.amqp_uri,
        "BIKE_DATABASE_URL": running.bike_database_url,
        "TRIP_DATABASE_URL": running.trip_database_url,
        "JWT_SECRET": running.jwt_secret,
        "GATEWAY_ADDRESS": running.gateway_url.removeprefix("http://"),
        **(settings or {}),
    }
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for name in SERVICES:
            with (logs / f"{name}.log").open("wb") as log:
                processes.append(start_service(name, environment, log))
        wait_until_healthy(running.gateway_url, processes, logs)
        yield running
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            assert process.wait(timeout=15) == 0


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    given = given_stack(os.environ)
    if given:
        yield given
        return
    with running_stack(request.getfixturevalue("private_parts"), tmp_path_factory.mktemp("logs")) as running:
        yield running
