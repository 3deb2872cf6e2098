"""The three services as real processes, on a vhost and databases of their own."""

import contextlib
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

import requests

from infrastructure.broker_permissions import permissions
from infrastructure.local.process import leashed
from tests.parts import PrivateParts, unique_name

ROOT = Path(__file__).parents[1]
SERVICES = ("bike_service", "trip_service", "gateway_service")


@dataclass(frozen=True)
class RunningStack:
    """Where a stack answers; `environments` is what each service was started with.

    `amqp_uri` is the administrator's; each service has a user of its own, with the rights that it has in production.
    """

    gateway_url: str
    amqp_uri: str
    bike_database_url: str
    trip_database_url: str
    admin_database_url: str
    jwt_secret: str
    log_folder: Path
    environments: Mapping[str, dict[str, str]]


@contextmanager
def running_stack(parts: PrivateParts, logs: Path, **settings: str) -> Iterator[RunningStack]:
    """A stack of its own, healthy; `settings` are added to what every service is started with."""
    postgres = parts.postgres
    vhost = unique_name("stack")
    amqp_uri = parts.rabbitmq.add_vhost(vhost)
    for name in SERVICES:
        assert parts.rabbitmq.add_user(name, permissions(name).as_dict(), vhost), parts.rabbitmq.refusal
    bikes, trips = (postgres.create_database(unique_name(name)) for name in ("bikes", "trips"))
    secret, address = secrets.token_hex(32), f"127.0.0.1:{free_port()}"
    common = {
        "BIKE_DATABASE_URL": bikes,
        "TRIP_DATABASE_URL": trips,
        "JWT_SECRET": secret,
        "GATEWAY_ADDRESS": address,
        **settings,
    }
    environments = {name: {"AMQP_URI": parts.rabbitmq.user_url(name, vhost), **common} for name in SERVICES}
    running = RunningStack(f"http://{address}", amqp_uri, bikes, trips, postgres.admin_url, secret, logs, environments)
    with running_services(running.gateway_url, logs, environments):
        yield running


@contextmanager
def running_services(gateway_url: str, logs: Path, environments: Mapping[str, dict[str, str]]) -> Iterator[None]:
    """The services of `environments` as processes that log to `logs`, once the gateway finds all well; then ended."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for name, environment in environments.items():
            with (logs / f"{name}.log").open("wb") as log:
                processes.append(start_service(name, environment, log))
        wait_until_healthy(gateway_url, processes, logs)
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            assert process.wait(timeout=15) == 0


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start_service(name: str, environment: dict[str, str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    """One service as a process of its own, logging to `log`."""
    command = [sys.executable, "-W", "ignore", "-m", "shared.run", name]
    return subprocess.Popen(
        # When a test hangs its process is ended at once, and cleans up nothing.
        leashed("SIGTERM", command),
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
        with contextlib.suppress(requests.ConnectionError):  # it does not listen yet
            if requests.get(f"{gateway_url}/health", timeout=3).status_code == 200:
                return
        time.sleep(0.1)  # until it is asked again; `until` bounds it
    ends = "\n".join(f"== {log.name}\n{log.read_text()[-2000:]}" for log in sorted(logs.glob("*.log")))
    raise AssertionError(f"the stack did not become healthy\n{ends}")
