"""Faults of RabbitMQ."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

import eventlet

from tests.faults.stack import Stack
from tests.faults.trial import Fault
from tests.waiting import eventually

# How long each of the faults lasts.
STOPPED_S, PAUSED_S, ALARM_S = 10.0, 15.0, 6.0
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


@contextmanager
def alarm(stack: Stack, setting: tuple[str, str], normal: tuple[str, str]) -> Iterator[None]:
    """Publishers are blocked within."""
    stack.servers.broker.control(*setting)
    try:
        yield
    finally:
        stack.servers.broker.control(*normal)


def memory_alarm(stack: Stack, rng: random.Random) -> None:
    command = "set_vm_memory_high_watermark"
    with alarm(stack, (command, "0.0001"), (command, MEMORY_WATERMARK)):
        eventlet.sleep(ALARM_S)


def disk_alarm(stack: Stack, rng: random.Random) -> None:
    command = "set_disk_free_limit"
    with alarm(stack, (command, "1000000GB"), (command, DISK_LIMIT)):
        eventlet.sleep(ALARM_S)


FAULTS = [
    Fault("RabbitMQ stopped for 10 s", stop, is_felt=True),
    Fault("RabbitMQ killed with -9", kill, is_felt=True),
    Fault("RabbitMQ paused for 15 s", pause, is_felt=True),
    Fault("RabbitMQ closes all connections", cut_connections),
    Fault("RabbitMQ's memory alarm", memory_alarm, is_felt=True),
    Fault("RabbitMQ's disk alarm", disk_alarm, is_felt=True),
]
