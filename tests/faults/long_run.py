"""`make faults LONG=1 [SEED=... MINUTES=30]`: faults in a random order, each under load and judged.

Not collected by `make test`. It ends when the time is up and each service was killed KILLS times and every other fault
of every part has struck. With fewer MINUTES it ends by the clock and says what did not strike. The same SEED gives the
same order.
"""

import os
import random
import time
from collections import Counter

import pytest

from tests.faults import broker_faults, database_faults, network_faults, process_faults, sigterm_faults
from tests.faults.network import Network
from tests.faults.report import Report
from tests.faults.stack import Stack
from tests.faults.trial import Fault, endure

KILLS = 20
MINUTES = 30.0


def minutes() -> float:
    return float(os.environ.get("MINUTES") or MINUTES)


def faults(network: Network, rng: random.Random) -> tuple[list[Fault], list[Fault]]:
    """What has to strike, shuffled; and what may strike afterwards."""
    singles, pairs = process_faults.KILLS[:3], process_faults.KILLS[3:]
    others = [
        *pairs,
        *process_faults.FAILPOINTS,
        *sigterm_faults.ALONE,
        *sigterm_faults.WITHOUT,
        *broker_faults.FAULTS,
        *database_faults.FAULTS.values(),
        *(network_faults.fault(network, kind, *link) for kind in network_faults.KINDS for link in network_faults.LINKS),
    ]
    due = [*singles * KILLS, *others]
    rng.shuffle(due)
    return due, [*singles, *others]


@pytest.mark.timeout(0)
def test_random_faults(distant_stack: Stack, network: Network, report: Report, seed: int) -> None:
    rng, until = random.Random(seed), time.monotonic() + 60 * minutes()
    report.notes.append(f"SEED={seed}")
    print(f"SEED={seed} MINUTES={minutes():g}", flush=True)
    due, known = faults(network, rng)
    number = 0
    while time.monotonic() < until or (due and minutes() >= MINUTES):
        fault, number = due.pop(0) if due else rng.choice(known), number + 1
        print(f"{number} {fault.name}", flush=True)
        endure(distant_stack, report, rng.randrange(1_000_000), fault)
    missed = ", ".join(f"{name} ({times} x)" for name, times in Counter(fault.name for fault in due).items())
    report.notes.append(f"did not strike in {minutes():g} minutes: {missed or 'nothing of what had to'}")
