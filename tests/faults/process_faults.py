"""Faults of the services' own processes: killed at any moment, or at the worst one."""

import random
from functools import partial

import eventlet

from tests.faults.stack import Stack
from tests.faults.supervisor import SERVICES
from tests.faults.trial import Fault
from tests.waiting import eventually

KILLED = -9
# What each service is killed at (see `failpoints`), and at which pass of it.
POINTS = {
    "bike_service": [
        ("bikes-mid-batch", 3),
        ("commit-then-ack", 3),
        ("handled-then-ack", 9),
        ("publish-then-delete", 5),
    ],
    "trip_service": [
        ("check-out-then-insert", 3),
        ("trips-mid-batch", 3),
        ("commit-then-ack", 3),
        ("publish-then-delete", 5),
        ("insert-then-commit", 3),
        ("end-then-check-in", 3),
    ],
}
PAIRS = [("gateway_service", "trip_service"), ("bike_service", "trip_service"), ("bike_service", "gateway_service")]


def kill(stack: Stack, rng: random.Random, services: tuple[str, ...]) -> None:
    eventlet.sleep(rng.uniform(0, 0.5))  # at a random moment of what it does
    stack.supervisor.kill(*services)


def kill_at(stack: Stack, rng: random.Random, points: tuple[tuple[str, str, int], ...]) -> None:
    """Arm a point in each service, and wait until all have ended there."""
    pids = {service: stack.supervisor.pid(service) for service, _, _ in points}
    for service, point, hit in points:
        stack.supervisor.arm(service, point, hit)
    eventually(lambda: all(stack.supervisor.pid(service) != pid for service, pid in pids.items()), 20)


def at(*points: tuple[str, str, int]) -> Fault:
    """The fault of (service, point, hit), one or several at once."""
    name = " and ".join(f"{service} at {point}" for service, point, _ in points)
    return Fault(f"kill -9 {name}", partial(kill_at, points=points), tuple((point[0], KILLED) for point in points))


KILLS = [
    Fault(f"kill -9 {' and '.join(services)}", partial(kill, services=services), tuple((s, KILLED) for s in services))
    for services in [*((service,) for service in SERVICES), *PAIRS]
]
FAILPOINTS = [at((service, point, hit)) for service, points in POINTS.items() for point, hit in points]
# In the short form the points of both services are gone through together, as far as each has a counterpart.
BOTH = [
    at(*((service, *point) for service, point in zip(POINTS, points, strict=True)))
    for points in zip(*POINTS.values(), strict=False)
]
