"""Faults of the services' own processes: killed at any moment, or at the worst one."""

import random
from functools import partial

import eventlet

from tests.faults.stack import Stack
from tests.faults.supervisor import SERVICES
from tests.faults.trial import Fault
from tests.waiting import eventually

KILLED = -9
# (service, point of `failpoints`, how often it is passed before)
POINTS = [
    ("bike_service", "bikes-mid-batch", 5),
    ("trip_service", "trips-mid-batch", 5),
    ("bike_service", "commit-then-ack", 5),
    ("trip_service", "commit-then-ack", 5),
    ("bike_service", "handled-then-ack", 20),
    ("trip_service", "check-out-then-insert", 4),
    ("trip_service", "insert-then-commit", 4),
    ("trip_service", "end-then-check-in", 4),
    ("trip_service", "publish-then-delete", 10),
    ("bike_service", "publish-then-delete", 10),
]
PAIRS = [("gateway_service", "trip_service"), ("bike_service", "trip_service"), ("bike_service", "gateway_service")]


def kill(stack: Stack, rng: random.Random, services: tuple[str, ...]) -> None:
    eventlet.sleep(rng.uniform(0, 0.5))
    stack.supervisor.kill(*services)


def kill_at(stack: Stack, rng: random.Random, service: str, point: str, hit: int) -> None:
    """Start the service again with the point armed, and wait until it has ended there."""
    stack.supervisor.start_next_under(service, "tests.faults.failpoints", point, str(hit))
    stack.supervisor.terminate(service)
    pid = stack.supervisor.pid(service)
    eventually(lambda: stack.supervisor.pid(service) != pid, 20)


KILLS = [
    Fault(f"kill -9 {' and '.join(services)}", partial(kill, services=services), tuple((s, KILLED) for s in services))
    for services in [*((service,) for service in SERVICES), *PAIRS]
]
FAILPOINTS = [
    Fault(
        f"kill -9 {service} at {point}",
        partial(kill_at, service=service, point=point, hit=hit),
        ((service, 0), (service, KILLED)),
    )
    for service, point, hit in POINTS
]
