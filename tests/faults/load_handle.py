"""The load seen from the test: a process of its own, so that nothing in the test's process can slow it or fool it."""

import json
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import eventlet

from infrastructure.local.process import leashed
from tests.faults import ledger
from tests.faults.ledger import CONFIRMED, Entry
from tests.faults.supervisor import ROOT
from tests.waiting import eventually

# What a load does all the time, and the outcome of each when all is well.
WELL = {"start": 201, "end": 200, "report": 202, "publish": CONFIRMED}
ENOUGH = 3


class Load:
    """`with stack.load(seed) as load:` rides until the block ends, and then on until all that was begun is done."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order, self.path = order, Path(order["ledger"])
        self._entries: list[Entry] = []
        self._read_to = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.began = time.time()

    def __enter__(self) -> "Load":
        # A test that is killed ends no load: the leash does.
        command = leashed("SIGKILL", [sys.executable, "-m", "tests.faults.load"])
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(self._order).encode() + b"\n")
        self._process.stdin.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        process = self._process
        try:
            assert process.poll() is None, "the load ended by itself"
            process.terminate()
            eventually(lambda: process.poll() is not None, 50)
            assert process.returncode == 0, "a rider could not come to an end"
        finally:
            process.kill()

    def entries(self) -> list[Entry]:
        """Those so far."""
        if self.path.exists():
            more, self._read_to = ledger.read(self.path, self._read_to)
            self._entries += more
        return self._entries

    def wait_for_success(self, since: float, limit_s: float) -> None:
        """Return when, of requests begun after `since` (Unix seconds), ENOUGH of each kind went well."""
        until = time.monotonic() + limit_s
        while missing := self._missing(since):
            assert time.monotonic() < until, f"after {limit_s:.0f} s there is too little that went well: {missing}"
            eventlet.sleep(0.1)

    def _missing(self, since: float) -> dict[str, int]:
        """How many of each operation have gone well, if there are not enough of all."""
        done = [entry.op for entry in self.entries() if entry.began >= since and entry.outcome == WELL.get(entry.op)]
        counts = {op: done.count(op) for op in WELL}
        return counts if min(counts.values()) < ENOUGH else {}
