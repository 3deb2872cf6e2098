"""Waiting for a condition, with a bound."""

import time
from collections.abc import Callable

from benchmarks.errors import BenchmarkError

# Fine enough for runs of seconds, coarse enough to cost nothing.
PAUSE_S = 0.05


def wait_until(what: str, condition: Callable[[], bool], limit_s: float) -> None:
    """Raises BenchmarkError, naming `what` was waited for, after `limit_s` seconds."""
    until = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > until:
            raise BenchmarkError(f"not within {limit_s:.0f} s: {what}")
        time.sleep(PAUSE_S)
