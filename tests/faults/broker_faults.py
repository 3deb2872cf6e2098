"""Faults of RabbitMQ."""

import random
import time
from collections.abc import Callable
from functools import partial

import eventlet
import requests

from tests.e2e.client import iso, now
from tests.faults.caller import PATIENCE_S
from tests.faults.stack import Stack
from tests.faults.trial import Fault
from tests.waiting import eventually

# How long each of the faults lasts.
STOPPED_S, PAUSED_S = 10.0, 15.0
# RabbitMQ's own defaults.
MEMORY_WATERMARK, DISK_LIMIT = "0.4", "50MB"


def stop(stack: Stack, rng: random.Random) -> None:
    since = time.monotonic()
    stack.servers.broker.stop()
    eventlet.sleep(max(STOPPED_S - (time.monotonic() - since), 0))
    stack.servers.broker.start()


def kill(stack: Stack, rng: random.Random) -> None:
    stack.servers.broker.kill()
    stack.servers.broker.start()


def pause(stack: Stack, rng: random.Random) -> None:
    stack.servers.broker.pause()
    try:
        eventlet.sleep(PAUSED_S)
    finally:
        stack.servers.broker.resume()


def cut_connections(stack: Stack, rng: random.Random) -> None:
    # It lists a connection only some seconds after it was made.
    eventually(lambda: stack.servers.broker.cut_connections(stack.vhost) >= 3, 15)


def alarm(stack: Stack, setting: tuple[str, str], normal: tuple[str, str]) -> None:
    """Publishers are blocked until the gateway has said so, in time, to a report of a position and to a call."""
    bike_id, operator = stack.add_bikes(1)[0]["id"], stack.api.operator()
    location = {"type": "Point", "coordinates": [-72.6, 42.3]}

    def report() -> requests.Response:
        position = {"bike_id": bike_id, "recorded_at": iso(now()), "location": location}
        return operator.post("/v1/positions", {"positions": [position]})

    def read() -> requests.Response:
        return operator.get(f"/v1/bikes/{bike_id}")

    stack.servers.broker.control(*setting)
    try:
        # The call takes longer to fail, so that what the load has begun before it has failed too.
        for probe in [eventlet.spawn(eventually, partial(_is_away, each)) for each in (report, read)]:
            probe.wait()
    finally:
        stack.servers.broker.control(*normal)


def _is_away(ask: Callable[[], requests.Response]) -> bool:
    answer = ask()
    assert answer.elapsed.total_seconds() < PATIENCE_S
    return answer.status_code in (503, 504)


def memory_alarm(stack: Stack, rng: random.Random) -> None:
    command = "set_vm_memory_high_watermark"
    alarm(stack, (command, "0.0001"), (command, MEMORY_WATERMARK))


def disk_alarm(stack: Stack, rng: random.Random) -> None:
    command = "set_disk_free_limit"
    alarm(stack, (command, "1000000GB"), (command, DISK_LIMIT))


AWAY = [
    Fault("RabbitMQ stopped for 10 s", stop, is_felt=True),
    Fault("RabbitMQ killed with -9", kill, is_felt=True),
    Fault("RabbitMQ paused for 15 s", pause, is_felt=True),
]
UNWELL = [
    Fault("RabbitMQ closes all connections", cut_connections),
    Fault("RabbitMQ's memory alarm", memory_alarm, is_felt=True),
    Fault("RabbitMQ's disk alarm", disk_alarm, is_felt=True),
]
FAULTS = [*AWAY, *UNWELL]
