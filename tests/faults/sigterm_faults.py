"""SIGTERM to the services, alone or while what they need is away."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import eventlet

from tests.faults.ledger import Entry
from tests.faults.stack import Stack
from tests.faults.supervisor import SERVICES
from tests.faults.trial import Fault

LIMIT_S = 10.0


def terminate(stack: Stack, rng: random.Random, services: Sequence[str]) -> None:
    """All of `services` at once; fails when one takes too long (its exit code is judged with all the others)."""
    running = [eventlet.spawn(stack.supervisor.terminate, service) for service in services]
    took = dict(zip(services, (thread.wait()[1] for thread in running), strict=True))
    assert max(took.values()) <= LIMIT_S, f"seconds from SIGTERM to the end: {took}"


def terminate_without(stack: Stack, rng: random.Random, what: str) -> None:
    with {"broker": without_broker, "databases": without_databases}[what](stack):
        terminate(stack, rng, SERVICES)


@contextmanager
def without_broker(stack: Stack) -> Iterator[None]:
    stack.servers.broker.kill()
    yield
    stack.servers.broker.start()


@contextmanager
def without_databases(stack: Stack) -> Iterator[None]:
    """One is gone, the other is silent."""
    gone, silent = stack.servers.databases.values()
    gone.stop()
    silent.pause()
    try:
        yield
    finally:
        silent.resume()
        gone.start()


def cut_off(entries: Sequence[Entry], struck: float) -> list[str]:
    """What was on its way when the signal came has to be answered."""
    running = [entry for entry in entries if entry.began < struck < entry.ended and entry.op != "publish"]
    return [f"{entry.op} was running at SIGTERM and failed: {entry.outcome}" for entry in running if entry.failed]


ALONE = [
    Fault(f"SIGTERM to {service}", partial(terminate, services=[service]), ((service, 0),), judge=cut_off)
    for service in SERVICES
]
WITHOUT = [
    Fault(f"SIGTERM to all, the {what} away", partial(terminate_without, what=what), tuple((s, 0) for s in SERVICES))
    for what in ("broker", "databases")
]
