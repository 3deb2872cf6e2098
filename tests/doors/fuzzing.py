"""Runs schemathesis, a process of its own, against a gateway as one caller, and counts what it was answered."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
GENERATED = re.compile(r"(\d+) generated")
MAX_SECONDS = 3600
# No or a bad token, a role that may not, a method or an address that is none, too many requests.
REFUSALS = frozenset({401, 403, 404, 405, 429})


@dataclass(frozen=True)
class Outcome:
    """`cases`: requests made of generated data; `report`: what schemathesis printed.

    `answers`: how many there were of each status.
    """

    ok: bool
    cases: int
    report: str
    answers: Counter[int]

    @property
    def judged(self) -> int:
        """Answers to requests that were let in, and whose content was judged."""
        return sum(times for status, times in self.answers.items() if status not in REFUSALS)


def fuzz(
    gateway_url: str,
    token: str | None,
    examples: int,
    seed: int,
    bike_ids: Sequence[str],
    trip_ids: Sequence[str],
    phases: str | None = None,
) -> Outcome:
    """All phases (or `phases`) with good and bad data, up to `examples` for each operation and phase."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run"]
    command += [f"{gateway_url}/openapi.json", "--max-examples", str(examples), "--seed", str(seed), "--no-color"]
    command += ["--header", f"Authorization: Bearer {token}"] if token else []
    command += ["--phases", phases] if phases else []
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": str(HERE / "fuzz_hooks.py"),
        "FUZZ_SEED": str(seed),
        "FUZZ_BIKE_IDS": " ".join(bike_ids),
        "FUZZ_TRIP_IDS": " ".join(trip_ids),
    }
    # It keeps a folder of its findings where it runs.
    with TemporaryDirectory() as folder:
        tally = Path(folder, "tally")
        tally.touch()
        environment["FUZZ_TALLY"] = str(tally)
        ended = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=MAX_SECONDS, check=False
        )
        answers = Counter(int(status) for status in tally.read_text().split())
    counted = GENERATED.search(ended.stdout)
    cases = int(counted[1]) if counted else 0
    return Outcome(ended.returncode == 0, cases, ended.stdout + ended.stderr, answers)
