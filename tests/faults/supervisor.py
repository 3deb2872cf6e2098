"""The services as real processes, started again when they end, as supervisord would; every end is written down."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import eventlet

from infrastructure.local.process import leashed
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
SERVICES = ("bike_service", "trip_service", "gateway_service")


@dataclass(frozen=True)
class Exit:
    """A process that ended: the negative signal number, or its own code; when, in Unix seconds."""

    service: str
    code: int
    at: float


class Supervisor:
    """Runs SERVICES, each with its environment, logging to `<logs>/<service>.log`."""

    def __init__(self, environments: Mapping[str, Mapping[str, str]], logs: Path) -> None:
        # A change holds from the next start of a service.
        self.environments = environments
        self.logs = logs
        self.exits: list[Exit] = []
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = False
        self._watching = eventlet.spawn(self._watch)

    def start(self) -> None:
        for name in SERVICES:
            self._start(name)

    def pid(self, service: str) -> int:
        return self._processes[service].pid

    def signal(self, service: str, number: int) -> None:
        self._processes[service].send_signal(number)

    def kill(self, *services: str) -> None:
        """SIGKILL; returns when they have ended (and been started again)."""
        before = {service: self.pid(service) for service in services}
        for service in services:
            self.signal(service, signal.SIGKILL)
        eventually(lambda: all(self.pid(service) != pid for service, pid in before.items()))

    def terminate(self, service: str, limit_s: float = 12) -> tuple[int, float]:
        """SIGTERM; the exit code, and the seconds that it took."""
        since, pid = time.monotonic(), self.pid(service)
        self.signal(service, signal.SIGTERM)
        eventually(lambda: self.pid(service) != pid, limit_s)
        code = [each.code for each in self.exits if each.service == service][-1]
        return code, time.monotonic() - since

    def arm(self, service: str, point: str, hit: int) -> None:
        """Let the running process of a service end at the `hit`-th pass of `point` (see `failpoints`)."""
        self._failpoint(service).write_text(f"{point} {hit}")
        self.signal(service, signal.SIGUSR1)

    def stop(self) -> dict[str, int]:
        """SIGTERM to all; their exit codes."""
        self._stopping = True
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        try:
            eventually(lambda: all(process.poll() is not None for process in self._processes.values()), 15)
        finally:
            self._watching.kill()
            for process in self._processes.values():
                process.kill()
        return {name: process.wait() for name, process in self._processes.items()}

    def _start(self, name: str) -> None:
        # `python -m shared.run`, which can also be told where to end.
        command = leashed("SIGKILL", [sys.executable, "-W", "ignore", "-m", "tests.faults.failpoints", name])
        # Not measured: a process that is killed leaves no coverage, and measuring makes it slow.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        environment = {**inherited, **self.environments[name], "FAILPOINT": str(self._failpoint(name))}
        with (self.logs / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    def _failpoint(self, name: str) -> Path:
        return self.logs / f"{name}.failpoint"

    def _watch(self) -> None:
        while True:
            for name, process in list(self._processes.items()):
                code = process.poll()
                if code is not None and not self._stopping:
                    self.exits.append(Exit(name, code, time.time()))
                    self._start(name)
            eventlet.sleep(0.05)
