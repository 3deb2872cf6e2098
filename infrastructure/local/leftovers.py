"""Processes of this checkout's stack that are still there: known by recorded pid and start time, ended by pid."""

import contextlib
import os
import signal
import time
from pathlib import Path

from infrastructure.local import leash
from infrastructure.local.errors import LocalError
from infrastructure.local.layout import Layout
from infrastructure.local.program import stop_signal

# supervisord stops the others in their order, each within its own time
PATIENCE = {"supervisord": 90.0, "rabbitmq": 30.0}


def alive(pid_file: Path) -> int | None:
    """The pid in the file, if the process that recorded it still runs."""
    try:
        pid, mark = pid_file.read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return int(pid) if leash.start_mark(int(pid)) == mark else None


def end_leftovers(layout: Layout) -> list[str]:
    """End what an earlier stack of this checkout has left, supervisord first; the names of what was running."""
    files = sorted(layout.pids.glob("*"), key=lambda file: file.name != "supervisord")
    ended = []
    for file in files:
        if alive(file) is not None:
            ended.append(file.name)
            _end(file)
        file.unlink(missing_ok=True)
    return ended


def _end(file: Path) -> None:
    pid = alive(file)
    if pid is None:
        return
    for number, patience in ((stop_signal(file.name), PATIENCE.get(file.name, 20.0)), (signal.SIGKILL, 10.0)):
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, number)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if alive(file) is None:
                return
            time.sleep(0.1)  # until the next look: it is no child, so there is nothing to wait on
    raise LocalError(f"{file.name} of an earlier stack (pid {pid}) does not end")
