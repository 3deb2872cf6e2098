"""Faults under one load, and the judgement afterwards."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.faults import check_answers, check_events, check_positions, check_trips
from tests.faults.ledger import Entry
from tests.faults.load_handle import Load
from tests.faults.report import Report, Row
from tests.faults.settling import settle
from tests.faults.stack import BACK_WITHIN_S, Stack
from tests.faults.supervisor import Exit

Deaths = tuple[tuple[str, int], ...]
T = TypeVar("T")


def nothing_else(entries: Sequence[Entry], struck: float) -> list[str]:
    """A fault's own judge that finds nothing wrong."""
    return []


@dataclass(frozen=True)
class Fault:
    """`strike` returns when the fault is over, and the moment at which it struck (Unix seconds) if not at its call.

    `deaths` are the (service, exit code) that it causes itself.

    `is_felt`: some request must have failed, or the fault did not strike. `judge` says what else is wrong with the
    entries, given the moment at which the fault struck (Unix seconds).
    """

    name: str
    strike: Callable[[Stack, random.Random], float | None]
    deaths: Deaths = ()
    is_felt: bool = False
    judge: Callable[[Sequence[Entry], float], list[str]] = nothing_else


@dataclass(frozen=True)
class Strike:
    """A fault that has struck, from when to when (Unix seconds); all has to be well `within_s` seconds after.

    `duplicates`: how many events had come again before.
    """

    fault: Fault
    struck: float
    over: float
    within_s: float
    duplicates: int


def endure(stack: Stack, report: Report, seed: int, *faults: Fault) -> None:
    """Let the faults strike under one load, each when all is well after the one before; fails with all that is wrong.

    They share the load because it takes time to come to its end: what a killed process had begun is free again only
    when its lease of 10 s has run out.
    """
    allowed = [allowed_s(stack, fault) for fault in faults]
    rng, strikes, exits = random.Random(seed), [], len(stack.supervisor.exits)
    with stack.load(seed) as load:
        load.wait_for_success(load.began, 2 * BACK_WITHIN_S)
        for fault, within_s in zip(faults, allowed, strict=True):
            strikes.append(_strike(stack, load, fault, rng, within_s))
    entries = load.entries()
    restless, settled_s = settle(stack, lambda: check_positions.check(stack, entries, load.began))
    stack.listener.collect()
    trips = check_trips.trips_since(stack, load.began)
    problems = [
        *restless,
        *check_trips.check(stack, entries, trips, load.began),
        *check_events.check(stack, trips, load.began),
    ]
    duplicates = [*(strike.duplicates for strike in strikes[1:]), stack.listener.duplicates]
    own_entries = by_strike(strikes, entries, lambda entry: entry.ended)
    own_exits = by_strike(strikes, stack.supervisor.exits[exits:], lambda each: each.at)
    for strike, own, ended, after in zip(strikes, own_entries, own_exits, duplicates, strict=True):
        found = [*_judge(strike, own, ended), *strike.fault.judge(entries, strike.struck)]
        problems += [f"{strike.fault.name}: {problem}" for problem in found]
        report.add(_row(strike, own, settled_s, after - strike.duplicates))
    names = ", then ".join(fault.name for fault in faults)
    assert not problems, "\n".join([f"{names} (SEED={seed}):", *problems[:30], stack.logs()])


def _strike(stack: Stack, load: Load, fault: Fault, rng: random.Random, within_s: float) -> Strike:
    """Returns when all is well again; fails when that takes too long."""
    stack.listener.collect()
    duplicates, struck = stack.listener.duplicates, time.time()
    struck = fault.strike(stack, rng) or struck
    over = time.time()
    load.wait_for_success(over, within_s)
    return Strike(fault, struck, over, within_s, duplicates)


def allowed_s(stack: Stack, fault: Fault) -> float:
    """Seconds from the fault's end until all is well: what this machine needs to start a process counts only then."""
    return stack.restarted_within_s() if fault.deaths else BACK_WITHIN_S


def by_strike(strikes: Sequence[Strike], things: Iterable[T], at: Callable[[T], float]) -> list[list[T]]:
    """Things by the fault that had struck last `at` their Unix time; the first fault has those from before it too."""
    found: list[list[T]] = [[] for _ in strikes]
    for thing in things:
        found[max(sum(strike.struck <= at(thing) for strike in strikes) - 1, 0)].append(thing)
    return found


def _judge(strike: Strike, entries: Sequence[Entry], exits: Sequence[Exit]) -> list[str]:
    return [
        *check_answers.check(entries, strike.over, strike.within_s),
        *_unexpected([(each.service, each.code) for each in exits], strike.fault.deaths),
        *_without_effect(entries, strike.fault, strike.struck),
    ]


def _row(strike: Strike, own: Sequence[Entry], settled_s: float, duplicates: int) -> Row:
    return Row(
        strike.fault.name,
        len(own),
        sum(entry.failed for entry in own),
        check_answers.recovery_s(own, strike.over),
        settled_s,
        sum(entry.op == "start" and entry.outcome == 201 for entry in own),
        check_positions.count(own),
        duplicates,
        sum(entry.replayed for entry in own),
    )


def _unexpected(deaths: Sequence[tuple[str, int]], expected: Deaths) -> list[str]:
    if Counter(deaths) == Counter(expected):
        return []
    return [f"processes ended: {deaths}, expected: {list(expected)}"]


def _without_effect(entries: Sequence[Entry], fault: Fault, struck: float) -> list[str]:
    if not fault.is_felt or any(entry.failed and entry.ended >= struck for entry in entries):
        return []
    return ["the fault did not strike: every request went well"]
