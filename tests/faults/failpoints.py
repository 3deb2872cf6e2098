"""A service that can be made to end at a chosen point: `python -m tests.faults.failpoints SERVICE`.

Runs the service just as `python -m shared.run` does. At SIGUSR1 it reads `POINT HIT` from the file that FAILPOINT
names and wraps that function: at the HIT-th call from then on the process ends as by SIGKILL, before or after what
the function does. The services themselves know nothing of it.
"""

from shared import run  # first of all: it makes the process green

import itertools  # isort: skip
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import bike_service.repositories
import shared.batch
import shared.consumers
import shared.idempotency
import shared.outbox
import trip_service.positions
import trip_service.renting
import trip_service.repositories


@dataclass(frozen=True)
class Point:
    """The function `name` of `owner`, a module or a class; the end comes `after` it, or before."""

    owner: Any
    name: str
    after: bool = False


POINTS = {
    # a batch of positions has been written and is not committed
    "bikes-mid-batch": Point(bike_service.repositories.Bikes, "move", after=True),
    "trips-mid-batch": Point(trip_service.positions, "store", after=True),
    # a batch has been committed and is not acknowledged
    "commit-then-ack": Point(shared.batch, "settle"),
    # an event's effect has been committed, or a call has been answered, and it is not acknowledged
    "handled-then-ack": Point(shared.consumers.QueueConsumer, "ack_message"),
    # the bike is checked out, the trip is not there
    "check-out-then-insert": Point(trip_service.repositories.Trips, "start"),
    # the trip and its kept answer are written, and not committed
    "insert-then-commit": Point(shared.idempotency, "keep_result", after=True),
    # the trip has ended, its bike is not free, nobody has been told
    "end-then-check-in": Point(trip_service.renting.Renting, "check_in"),
    # an event is confirmed by the broker and still in the outbox
    "publish-then-delete": Point(shared.outbox.OutboxRelay, "_publish", after=True),
}


def arm(point: Point, hit: int) -> None:
    """Let the `hit`-th call of the function be the last thing that the process does."""
    function: Callable[..., Any] = getattr(point.owner, point.name)
    calls = itertools.count(1)

    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        is_last = next(calls) == hit
        if is_last and not point.after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **kwargs)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(point.owner, point.name, wrapped)


def arm_as_told(*_: Any) -> None:
    """The handler of SIGUSR1."""
    name, hit = Path(os.environ["FAILPOINT"]).read_text().split()
    arm(POINTS[name], int(hit))


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGUSR1, arm_as_told)
    return run.main(arguments)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    logging.shutdown()
    os._exit(code)
