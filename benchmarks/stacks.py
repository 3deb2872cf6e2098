"""The processes that are compared: our three services, the same with stock nameko, our HTTP without RPC."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import requests

from benchmarks import environment
from benchmarks.errors import BenchmarkError
from benchmarks.parts import Ground
from benchmarks.usage import Groups
from infrastructure.local import loopback, ports
from infrastructure.local.process import Process, leashed, tail

READY_LIMIT_S = 90.0
SERVICES = ("bike_service", "trip_service", "gateway_service")
# As many as ours: stock nameko's default of 10 would only measure its queue.
STOCK_WORKERS = 100
# What `http_only` serves where ours serves the GBFS feed, in the folder of the run.
STATIC_FILE = "static"


@dataclass
class Stack:
    """`urls`: of each gateway; `processes`: by service."""

    name: str
    ground: Ground
    secret: str
    urls: list[str] = field(default_factory=list)
    processes: dict[str, list[Process]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.urls[0]

    @property
    def groups(self) -> Groups:
        return {name: [process.pid for process in each] for name, each in self.processes.items()}

    def check(self) -> None:
        """Raises LocalError when a process has ended."""
        for each in self.processes.values():
            for process in each:
                process.check()

    def stop(self) -> None:
        for name in reversed(self.processes):
            for process in self.processes[name]:
                process.stop()
        self.processes = {}

    def _run(self, service: str, command: list[str], variables: Mapping[str, str], folder: Path) -> None:
        running = self.processes.setdefault(service, [])
        log = folder / f"{self.name}.{service}.{len(running)}.log"
        running.append(Process(f"{service} of {self.name}", leashed("SIGTERM", command), {**_base(), **variables}, log))

    def _wait_ready(self, path: str) -> None:
        deadline = time.monotonic() + READY_LIMIT_S
        for url in self.urls:
            while not _answers(url + path):
                self.check()
                if time.monotonic() > deadline:
                    logs = [tail(process.log) for each in self.processes.values() for process in each]
                    raise BenchmarkError("\n".join([f"{self.name} does not answer at {url}{path}", *logs]))
                time.sleep(0.2)  # until it is asked again; `deadline` bounds it


def _base() -> dict[str, str]:
    # The services are found from the checkout's folder, wherever the benchmark was started.
    return {**environment.clean(), "PYTHONPATH": str(environment.ROOT)}


def _answers(url: str) -> bool:
    try:
        with loopback.session() as session:
            return session.get(url, timeout=10).status_code == requests.codes.ok
    except requests.RequestException:
        return False


def ours(ground: Ground, secret: str, folder: Path, each: int = 1) -> Stack:
    """Our services, so many processes of each; a gateway has a port of its own."""

    def fill(stack: Stack) -> str:
        for service in SERVICES:
            for _ in range(each):
                variables = {**ground.environment, "JWT_SECRET": secret}
                if service == "gateway_service":
                    variables["GATEWAY_ADDRESS"] = _new_address(stack)
                stack._run(service, [sys.executable, "-m", "shared.run", service], variables, folder)
        return "/health"

    return _started(Stack(ground.name, ground, secret), fill)


def http_only(ground: Ground, secret: str, folder: Path) -> Stack:
    """Our gateway with constant answers."""

    def fill(stack: Stack) -> str:
        variables = {**ground.environment, "JWT_SECRET": secret, "GATEWAY_ADDRESS": _new_address(stack)}
        # `shared.run` takes a top-level package, which it is from its parent's folder.
        limits = environment.ROOT / "benchmarks" / "limits"
        variables["PYTHONPATH"] = f"{environment.ROOT}:{limits}"
        variables["BENCH_STATIC"] = str(folder / STATIC_FILE)
        stack._run("http_only", [sys.executable, "-m", "shared.run", "http_only"], variables, folder)
        return "/ping"

    return _started(Stack("http_only", ground, secret), fill)


def stock(ground: Ground, secret: str, folder: Path) -> Stack:
    """The same endpoints with what nameko brings, run by `nameko run`."""

    def fill(stack: Stack) -> str:
        address = _new_address(stack)
        settings = {
            "AMQP_URI": ground.amqp_uri,
            "WEB_SERVER_ADDRESS": address,
            "DB_URIS": {
                "bike_service:Base": _by_psycopg2(ground.bike_url),
                "trip_service:Base": _by_psycopg2(ground.trip_url),
            },
            "JWT_SECRET": secret,
            "max_workers": STOCK_WORKERS,
        }
        file = folder / "stock.yaml"
        file.touch(mode=0o600)
        file.write_text(json.dumps(settings))  # which is YAML too
        for service in SERVICES:
            module = f"benchmarks.stock.{service}"
            stack._run(service, [sys.executable, "-m", "nameko", "run", "--config", str(file), module], {}, folder)
        return "/health"

    return _started(Stack("stock", ground, secret), fill)


def _new_address(stack: Stack) -> str:
    address = f"127.0.0.1:{ports.choose()}"
    stack.urls.append(f"http://{address}")
    return address


def _started(stack: Stack, fill: Callable[[Stack], str]) -> Stack:
    try:
        stack._wait_ready(fill(stack))
    except BaseException:  # also Ctrl-C, and raised again
        stack.stop()
        raise
    return stack


def _by_psycopg2(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg2://", 1)
