"""Runs schemathesis, a process of its own, against a gateway as one caller, and counts what it was answered."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from infrastructure.local.process import leashed

HERE = Path(__file__).parent
GENERATED = re.compile(r"(\d+) generated")
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
    within: float = 3600,
) -> Outcome:
    """All phases (or `phases`) with good and bad data, up to `examples` for each operation and phase.

    After `within` seconds it is ended, which is no success; the report then says where it was.
    """
    command = [sys.executable, "-X", "faulthandler", "-m", "schemathesis.cli"]
    command += ["--config-file", str(HERE / "schemathesis.toml"), "run"]
    command += [f"{gateway_url}/openapi.json", "--max-examples", str(examples), "--seed", str(seed), "--no-color"]
    command += ["--header", f"Authorization: Bearer {token}"] if token else []
    command += ["--phases", phases] if phases else []
    # Nobody asks for its coverage, and while that is measured it now and then never ends.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    environment |= {
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
        printed = Path(folder, "printed")
        with printed.open("wb") as output:
            process = subprocess.Popen(
                leashed("SIGTERM", command), cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            process.wait(within)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # makes it print the stacks of its threads
            process.wait()
        finally:
            process.kill()
        report = printed.read_text(errors="replace")
        answers = Counter(int(status) for status in tally.read_text().split())
    counted = GENERATED.search(report)
    cases = int(counted[1]) if counted else 0
    return Outcome(process.returncode == 0, cases, report, answers)
