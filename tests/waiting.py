"""Waiting for a condition, with a bound."""

import time
from collections.abc import Callable
from typing import TypeVar

import eventlet

T = TypeVar("T")


def eventually(condition: Callable[[], T], timeout: float = 10.0) -> T:
    """What `condition` returns once it is true; fails when it is not within `timeout` seconds."""
    until = time.monotonic() + timeout
    while True:
        value = condition()
        if value or time.monotonic() > until:
            assert value, f"not within {timeout:g} s: {condition}"
            return value
        eventlet.sleep(0.02)
