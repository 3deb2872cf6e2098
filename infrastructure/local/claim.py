"""Who may start, change and stop the checkout's stack: the launcher that holds it, one change at a time."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from typing import IO

from infrastructure.local import leash, leftovers
from infrastructure.local.errors import LocalError
from infrastructure.local.layout import Layout


class AlreadyRuns(LocalError):
    """Another process holds the stack."""

    def __init__(self, layout: Layout) -> None:
        url = layout.read_environment().get("GATEWAY_URL")
        where = url or ("without a gateway" if layout.environment.exists() else "starting or stopping")
        super().__init__(
            f"The stack of this checkout runs already (pid {launcher(layout)}, {where}).\n"
            "make status shows it, make down stops it."
        )


@contextlib.contextmanager
def claimed(layout: Layout) -> Iterator[None]:
    """Hold the checkout's stack, as its launcher. Raises AlreadyRuns when another process does."""
    layout.make()
    with layout.lock.open("a+") as file:
        # for a moment, because `status` and its like hold the lock while they see whether it is free
        if not _lock_within(file, 0.3):
            raise AlreadyRuns(layout)
        file.truncate(0)
        file.write(f"{os.getpid()} {leash.start_mark(os.getpid())}\n")
        file.flush()
        yield
        file.truncate(0)


@contextlib.contextmanager
def changing(layout: Layout, limit_s: float) -> Iterator[bool]:
    """Be the one that starts or changes what the stack consists of; whether that was granted within the time."""
    with layout.change_lock.open("a+") as file:
        yield _lock_within(file, limit_s)


def launcher(layout: Layout) -> int | None:
    """The pid of the process that holds the checkout's stack; None when there is none."""
    try:
        with layout.lock.open("r") as file:
            if _try_lock(file):
                return None
    except FileNotFoundError:
        return None
    return leftovers.alive(layout.lock)


def launcher_mark(layout: Layout) -> str:
    """What tells the launcher from any other process, now or later; empty when there is none."""
    return layout.lock.read_text().strip() if launcher(layout) else ""


def wait_unclaimed(layout: Layout, limit_s: float) -> bool:
    """Whether the launcher has ended within the time."""
    with layout.lock.open("r") as file:
        return _lock_within(file, limit_s)


def _lock_within(file: IO[str], limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while not _try_lock(file):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)  # until the next try: flock has no time limit of its own
    return True


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
