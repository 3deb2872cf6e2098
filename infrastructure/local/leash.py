"""Replace this process by a command that is told when its parent dies.

Run as a script: `leash.py SIGNAL PID_FILE COMMAND [ARGUMENT ...]`. SIGNAL (`SIGTERM`, ...) reaches the command when
its parent ends for whatever reason, `kill -9` included; PID_FILE (`-` for none) gets the identity of the process.
Only the standard library is used, so that it runs without site-packages (`python -I -S`).
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send the signal to this process when its parent dies. Does nothing but on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)


def start_mark(pid: int) -> str | None:
    """Text that tells this process from a later one with the same pid; None if there is no such process."""
    try:
        # the command's name, in parentheses, may itself hold spaces and parentheses
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if fields[0] == "Z" else f"{boot}:{fields[19]}"


def record(pid_file: Path) -> None:
    """Write `pid start-mark` of this process into the file, whole or not at all."""
    temporary = pid_file.with_name(f"{pid_file.name}.{os.getpid()}")
    temporary.write_text(f"{os.getpid()} {start_mark(os.getpid())}\n")
    temporary.replace(pid_file)


def main(arguments: list[str]) -> None:
    signal_name, pid_file, *command = arguments
    parent = os.getppid()
    die_with_parent(signal.Signals[signal_name])
    if os.getppid() != parent:
        sys.exit("the parent process ended")
    if pid_file != "-":
        record(Path(pid_file))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
