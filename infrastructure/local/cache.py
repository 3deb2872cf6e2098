"""The user's cache folder, shared by all checkouts, and the lock that keeps two of them apart."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


def folder() -> Path:
    """`$XDG_CACHE_HOME/bike-company`, else `~/.cache/bike-company`; made if it does not exist."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(base).absolute() / "bike-company"
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock `name`, waiting for it; it is let go with the process, however that ends."""
    with (folder() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
