"""Services as processes of their own, with what they say of themselves."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import requests
from prometheus_client.parser import text_string_to_metric_families

from infrastructure.local import ports
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scrape:
    """What one `GET /metrics` answered."""

    def __init__(self, text: str) -> None:
        self.samples: Series = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in self.samples, f"twice: {key}"
                self.samples[key] = sample.value

    def value(self, name: str, **labels: str) -> float:
        """The sum of all series with these labels; fails when there is none."""
        found = [v for (n, its), v in self.samples.items() if n == f"bike_company_{name}" and labels.items() <= its]
        assert found, f"no series {name} {labels}"
        return sum(found)

    def has(self, name: str, **labels: str) -> bool:
        return any(n == f"bike_company_{name}" and labels.items() <= its for n, its in self.samples)

    def labels_of(self) -> dict[str, set[str]]:
        """The names of the labels of each name of a series."""
        found: dict[str, set[str]] = {}
        for name, labels in self.samples:
            found.setdefault(name, set()).update(label for label, _ in labels)
        return found


class Process:
    """One service, answering for its status on a port of its own."""

    def __init__(self, name: str, settings: Mapping[str, str], log: IO[bytes]) -> None:
        self.name, self.log = name, Path(log.name)
        self.status_url = f"http://127.0.0.1:{ports.choose()}"
        inherited = {key: os.environ[key] for key in ("PATH", "HOME", "COVERAGE_PROCESS_CONFIG") if key in os.environ}
        self.environment = {**inherited, "METRICS_ADDRESS": self.status_url.removeprefix("http://"), **settings}
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "shared.run", name],
            cwd=ROOT,
            env=self.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def get(self, path: str, timeout: float = 5) -> requests.Response:
        return requests.get(f"{self.status_url}{path}", timeout=timeout)

    def health(self) -> dict[str, Any]:
        """What `/health` says; its status is empty while nobody listens."""
        assert self.popen.poll() is None, self.log.read_text()[-3000:]
        try:
            report: dict[str, Any] = self.get("/health").json()
        except requests.ConnectionError:
            return {"status": ""}
        return report

    def wait_for(self, status: str) -> dict[str, Any]:
        """The report, once it has this status."""

        def reported() -> dict[str, Any]:
            report = self.health()
            return report if report["status"] == status else {}

        return eventually(reported, timeout=60)

    def scrape(self) -> Scrape:
        response = self.get("/metrics")
        assert response.status_code == 200
        return Scrape(response.text)


@contextmanager
def running_process(name: str, settings: Mapping[str, str], folder: Path) -> Iterator[Process]:
    """The service, started; ended by SIGTERM, or by force after 15 s."""
    with (folder / f"{name}.log").open("wb") as log:
        process = Process(name, settings, log)
    try:
        yield process
    finally:
        process.popen.send_signal(signal.SIGTERM)
        try:
            process.popen.wait(timeout=15)
        finally:
            process.popen.kill()
            process.popen.wait()
