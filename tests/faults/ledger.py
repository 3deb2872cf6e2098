"""The ledger: every request with the answer that was seen, or how it failed, one JSON line each."""

import json
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# What may stand in the place of a status: the connection was refused, closed without an answer, or silent for 10 s;
# of a message: confirmed or not.
REFUSED, CLOSED, HUNG = "refused", "closed", "hung"
CONFIRMED, UNCONFIRMED = "confirmed", "unconfirmed"


@dataclass(frozen=True)
class Entry:
    """One request: its operation, who asked, when (Unix seconds), how long it took (seconds), and what came of it."""

    op: str
    who: str
    began: float
    took: float
    outcome: int | str
    sent: Any = None
    body: Any = None
    replayed: bool = False
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def ended(self) -> float:
        return self.began + self.took

    @property
    def failed(self) -> bool:
        """Whether the service, and not the request, was the cause."""
        return (isinstance(self.outcome, str) and self.outcome != CONFIRMED) or self.outcome in (500, 502, 503, 504)


class Ledger:
    """Written by many threads; what is in the file is complete after each line."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1, encoding="utf-8")
        self._lock = threading.Lock()

    def write(self, entry: Entry) -> None:
        line = json.dumps(asdict(entry)) + "\n"
        with self._lock:
            self._file.write(line)


def read(path: Path, start: int = 0) -> tuple[list[Entry], int]:
    """The entries so far from the byte `start` on, and where the next one begins, which may be half written."""
    with path.open("rb") as file:
        file.seek(start)
        lines = file.read().splitlines(keepends=True)
    whole = [line for line in lines if line.endswith(b"\n")]
    return [Entry(**json.loads(line)) for line in whole], start + sum(map(len, whole))
