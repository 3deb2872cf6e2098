"""One child process in the foreground form, in a process group of its own, stopped by that group."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from infrastructure.local import leash
from infrastructure.local.errors import LocalError


def leashed(signal_name: str, command: Sequence[str | Path], pid_file: Path | None = None) -> list[str]:
    """The command line that runs `command` (same process) so that it gets the signal when its parent dies."""
    script = [sys.executable, "-I", "-S", leash.__file__, signal_name, str(pid_file or "-")]
    return script + [str(part) for part in command]


class Process:
    """A child whose output goes to a log file. `command` should be leashed."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path):
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                list(command), env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._child.pid

    def check(self) -> None:
        """Raise LocalError, with the end of its log, when the process has ended."""
        code = self._child.poll()
        if code is not None:
            raise LocalError(f"{self.name} ended with code {code}:\n{tail(self.log)}")

    def stop(self, signal_number: int = signal.SIGTERM, timeout: float = 30) -> None:
        """Signal the process, wait up to `timeout` seconds for it, then kill what is left of its group."""
        if self._child.poll() is None:
            self._child.send_signal(signal_number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(timeout)
        with contextlib.suppress(ProcessLookupError):  # raised when nothing is left of it
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log file; says so when there is none."""
    try:
        text = log.read_text(errors="replace")
    except FileNotFoundError:
        return f"(no log at {log})"
    return "\n".join(text.splitlines()[-lines:])
