"""One fault under load, and the judgement afterwards."""

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.faults import check_answers, check_events, check_positions, check_trips
from tests.faults.ledger import Entry
from tests.faults.report import Report, Row
from tests.faults.settling import settle
from tests.faults.stack import Stack

Deaths = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Fault:
    """`strike` returns when the fault is over; `deaths` are the (service, exit code) that it causes itself.

    `is_felt`: some request must have failed, or the fault did not strike. `judge` says what else is wrong with the
    entries, given the moment at which the fault struck (Unix seconds).
    """

    name: str
    strike: Callable[[Stack, random.Random], None]
    deaths: Deaths = ()
    is_felt: bool = False
    judge: Callable[[Sequence[Entry], float], list[str]] = lambda entries, struck: []


def endure(stack: Stack, fault: Fault, report: Report, seed: int) -> None:
    """Let the fault strike under load; fails with everything that is wrong afterwards."""
    rng, duplicates, exits = random.Random(seed), stack.listener.duplicates, len(stack.supervisor.exits)
    with stack.load(seed) as load:
        load.wait_for_success(load.began, 2 * stack.back_within_s)
        struck = time.time()
        fault.strike(stack, rng)
        over = time.time()
        load.wait_for_success(over, stack.back_within_s)
    entries = load.entries()
    restless, settled_s = settle(stack, lambda: check_positions.check(stack, entries, load.began))
    stack.listener.collect()
    trips = check_trips.trips_since(stack, load.began)
    deaths = [(each.service, each.code) for each in stack.supervisor.exits[exits:]]
    problems = [
        *restless,
        *check_answers.check(entries, over, stack.back_within_s),
        *check_trips.check(stack, entries, trips, load.began),
        *check_events.check(stack, trips, load.began),
        *_unexpected(deaths, fault.deaths),
        *_without_effect(entries, fault, struck),
        *fault.judge(entries, struck),
    ]
    report.add(
        Row(
            fault.name,
            len(entries),
            sum(entry.failed for entry in entries),
            check_answers.recovery_s(entries, over),
            settled_s,
            sum(entry.op == "start" and entry.outcome == 201 for entry in entries),
            check_positions.count(entries),
            stack.listener.duplicates - duplicates,
            sum(entry.replayed for entry in entries),
        )
    )
    assert not problems, "\n".join([f"{fault.name} (SEED={seed}):", *problems[:30], stack.logs()])


def _unexpected(deaths: Sequence[tuple[str, int]], expected: Deaths) -> list[str]:
    if Counter(deaths) == Counter(expected):
        return []
    return [f"processes ended: {deaths}, expected: {list(expected)}"]


def _without_effect(entries: Sequence[Entry], fault: Fault, struck: float) -> list[str]:
    if not fault.is_felt or any(entry.failed and entry.ended >= struck for entry in entries):
        return []
    return ["the fault did not strike: every request went well"]
