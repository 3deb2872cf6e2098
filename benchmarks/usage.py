"""CPU time and memory of groups of processes, as /proc has them."""

import contextlib
import resource
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

Groups = Mapping[str, list[int]]
"""Name of a group (a service, the broker, the database) to the pids of its first processes."""

LOAD = "load"
# Their processes share one memory, which would count once for each: what is private to each counts.
SHARING = ("postgres",)


@dataclass
class Usage:
    """`cpu`: seconds by group while it was measured, `load` being this process and those that have ended in it.

    `peak`: bytes of resident memory by group, the highest.
    """

    cpu: dict[str, float] = field(default_factory=dict)
    peak: dict[str, int] = field(default_factory=dict)


@contextlib.contextmanager
def measured(groups: Groups) -> Iterator[Usage]:
    """Fills the yielded Usage at the end of the block."""
    usage = Usage()
    for pids in groups.values():
        _forget_peaks(pids)
    before = _cpu(groups)
    yield usage
    after = _cpu(groups)
    usage.cpu = {name: after[name] - before[name] for name in after}
    usage.peak = {name: _peak(pids, name in SHARING) for name, pids in groups.items()}


def resident(pids: list[int]) -> int:
    """Bytes of resident memory of the processes and their descendants now."""
    total = 0
    for process in _with_descendants(pids):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total


def _cpu(groups: Groups) -> dict[str, float]:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = {LOAD: time.process_time() + children.ru_utime + children.ru_stime}
    for name, pids in groups.items():
        total = 0.0
        for process in _with_descendants(pids):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                # The children's are those of children that have ended.
                total += times.user + times.system + times.children_user + times.children_system
        seconds[name] = total
    return seconds


def _with_descendants(pids: list[int]) -> list[psutil.Process]:
    first = [psutil.Process(pid) for pid in pids]
    return [*first, *(each for process in first for each in process.children(recursive=True))]


def _forget_peaks(pids: list[int]) -> None:
    for process in _with_descendants(pids):
        # 5 sets the peak back to what is resident now (proc(5)).
        with contextlib.suppress(OSError):
            Path(f"/proc/{process.pid}/clear_refs").write_text("5")


def _peak(pids: list[int], is_sharing: bool) -> int:
    total = 0
    for process in _with_descendants(pids):
        with contextlib.suppress(OSError, psutil.NoSuchProcess):
            # A process that has just ended has neither.
            total += _status(process.pid).get("RssAnon" if is_sharing else "VmHWM", 0)
    return total


def _status(pid: int) -> dict[str, int]:
    """The sizes in /proc/<pid>/status, in bytes."""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {parts[0].rstrip(":"): int(parts[1]) * 1024 for parts in lines if parts[-1:] == ["kB"]}
