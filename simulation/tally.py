"""Counts what happens, for many threads: answers by status, how long they took, what came of them."""

import math
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

# latencies are kept in steps of 5 %, so that any number of them takes little room
STEP = 1.05
SHORTEST_S = 1e-5


class Outcome(NamedTuple):
    """What became of the trips and positions, by name; each a key of Tally.add."""

    started: str = "trips started"
    ended: str = "trips ended"
    cancelled: str = "trips cancelled"
    positions: str = "positions accepted"
    lost: str = "positions refused"
    taken: str = "bikes taken by another"
    none_near: str = "no bike near"
    failed: str = "rides failed"
    unanswered: str = "requests given up for a while"


OUTCOME = Outcome()
FAILURES = (OUTCOME.failed, OUTCOME.lost, OUTCOME.unanswered)


@dataclass(frozen=True)
class Seen:
    """The counts at a moment (`at`, monotonic), or what was added over `seconds`."""

    at: float
    seconds: float
    statuses: Counter[int | None]
    latencies: Counter[int]
    counts: Counter[str]

    @property
    def requests(self) -> int:
        return self.statuses.total()

    @property
    def active(self) -> int:
        return self.counts[OUTCOME.started] - self.counts[OUTCOME.ended] - self.counts[OUTCOME.cancelled]

    @property
    def errors(self) -> dict[str, int]:
        """By status, without the conflicts, which belong to the game; attempts without an answer as `none`."""
        return {
            "none" if status is None else str(status): number
            for status, number in sorted(self.statuses.items(), key=lambda each: each[0] or 0)
            if number and (status is None or (status >= 400 and status != 409))
        }

    @property
    def has_failed(self) -> bool:
        """Whether anything happened that a sound system never does."""
        return bool(self.errors) or any(self.counts[name] > 0 for name in FAILURES)

    def rate(self, number: int) -> float:
        return number / self.seconds if self.seconds > 0 else 0.0

    def latency_s(self, share: float) -> float:
        """The latency that this share of the requests did not exceed, within 5 %; 0 when there were none."""
        wanted, passed = math.ceil(share * self.latencies.total()), 0
        for step, number in sorted(self.latencies.items()):
            passed += number
            if passed >= wanted and number > 0:
                return float(STEP ** (step + 1))
        return 0.0

    def since(self, earlier: "Seen") -> "Seen":
        """What was added after `earlier`."""
        return Seen(
            self.at,
            self.at - earlier.at,
            self.statuses - earlier.statuses,
            self.latencies - earlier.latencies,
            self.counts - earlier.counts,
        )


class Tally:
    """The counts, from its making on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._statuses: Counter[int | None] = Counter()
        self._latencies: Counter[int] = Counter()
        self._counts: Counter[str] = Counter()

    def answered(self, status: int | None, seconds: float) -> None:
        """An attempt of a request; None: without an answer."""
        step = math.floor(math.log(max(seconds, SHORTEST_S), STEP))
        with self._lock:
            self._statuses[status] += 1
            self._latencies[step] += 1

    def add(self, outcome: str, number: int = 1) -> None:
        with self._lock:
            self._counts[outcome] += number

    def seen(self) -> Seen:
        """A copy of all counts."""
        with self._lock:
            now = time.monotonic()
            copies = Counter(self._statuses), Counter(self._latencies), Counter(self._counts)
        return Seen(now, now - self._began, *copies)
