"""A gateway for the simulation's unit tests: answers like the company, from memory, and notes every request."""

import threading
import uuid
from collections import Counter
from typing import Any

import requests

from replay.client import Gateway
from replay.connection import Connection
from simulation.bikes import Bike, Fleet
from simulation.city import City
from simulation.reports import Reports
from simulation.tally import Tally
from tests.unit.test_replay_client import SECRET, answer

STARTED_AT = "2026-01-01T00:00:00Z"


class Company(requests.Session):
    """`taken` are bikes that nobody gets, `statuses` answers by path before the usual ones."""

    def __init__(self, bikes: list[str], taken: set[str] | None = None) -> None:
        super().__init__()
        self.bikes, self.taken = bikes, taken or set()
        self.statuses: dict[str, list[int]] = {}
        self.asked: list[tuple[str, str]] = []
        self.positions: Counter[str] = Counter()
        self.keys: list[str] = []

    def request(self, method: str | bytes, url: str | bytes, *_: Any, **options: Any) -> requests.Response:
        path = str(url).removeprefix("http://gateway")
        self.asked.append((str(method), path))
        if self.statuses.get(path):
            return answer(self.statuses[path].pop(0), {"detail": "no"}, Retry_After="60")
        body = options.get("json") or {}
        if path == "/v1/bikes":
            return answer(200, {"items": [{"id": bike} for bike in self.bikes]})
        if path == "/v1/trips":
            self.keys.append(options["headers"]["Idempotency-Key"])
            if body["bike_id"] in self.taken:
                return answer(409, {"detail": "taken"})
            return answer(201, {"id": str(uuid.uuid4()), "started_at": STARTED_AT})
        if path.endswith("/positions"):
            self.positions[path] += len(body["positions"])
        return answer(202 if path.endswith("/positions") else 200, {})

    def paths(self) -> list[str]:
        """The last part of each path asked for."""
        return [path.rsplit("/", 1)[-1] for _, path in self.asked]


class Impatient(threading.Event):
    """Time passes at once; it closes after so many waits."""

    def __init__(self, waits: int) -> None:
        super().__init__()
        self.left = waits

    def wait(self, timeout: float | None = None) -> bool:
        self.left -= 1
        if self.left < 0:
            self.set()
        return self.is_set()


def city(company: Company, ours: list[str], *, is_alone: bool = False, closing: threading.Event | None = None) -> City:
    tally = Tally()
    connection = Connection("http://gateway", SECRET)
    gateway = Gateway(connection, threading.Event(), connections=1, new_session=lambda: company, observe=tally.answered)
    fleet = Fleet(Bike(name, (-72.6, 42.3), is_alone) for name in ours)
    return City(gateway, tally, Reports(gateway, tally), fleet, closing or threading.Event())
