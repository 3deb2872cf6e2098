"""`make test`: the tests in parts, several at once, since most of them wait: for a broker, a process, a clock.

Each part is a pytest of its own, on private servers of its own. The faults come last and alone: they judge how soon
the company is back. With arguments it is one plain pytest. Exit code 0 when all parts passed.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from types import FrameType
from typing import IO

from tests.browser import chromium

ROOT = Path(__file__).resolve().parents[1]
COVERAGE = ROOT / ".parts-of-coverage"
PYTEST = [sys.executable, "-m", "pytest", "--cov", "--cov-branch"]
# Its driver does not run in a process whose sockets are patched, as tests/conftest.py has them.
OWN_CONFTEST = {"browser": ["--confcutdir=tests/browser", "--suppress-nameko-eventlet-notification"]}
AT_ONCE = 3
# Pytest's lines about what failed, and its own of what went wrong in it: they come once more, at the very end.
TELLING = ("FAILED ", "ERROR ", "E   ")
TOLD = 20
# What an interrupted part may take to end what it has started.
CLEANING_S = 60


@dataclass
class Part:
    """A pytest that runs, or has run."""

    name: str
    paths: list[str]
    output: IO[bytes] = field(default_factory=TemporaryFile)
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0

    def start(self) -> None:
        folder = COVERAGE / self.name
        folder.mkdir(parents=True)
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [*PYTEST, "--cov-report=", *self.paths],
            cwd=ROOT,
            env={**os.environ, "COVERAGE_FILE": str(folder / ".coverage")},
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            # Ctrl-C reaches it through `interrupt` alone: a second one would cut its cleaning short.
            process_group=0,
        )

    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def show(self) -> bool:
        """Print what it said; whether it passed."""
        assert self.process is not None, "started"
        print(f"\n===== {self.name}, {time.monotonic() - self.began:.0f} s", flush=True)
        self.output.seek(0)
        shutil.copyfileobj(self.output, sys.stdout.buffer)
        sys.stdout.flush()
        return self.process.returncode == 0

    def failures(self) -> list[str]:
        """The last lines of its output that say what failed, or just the last ones when it has died."""
        self.output.seek(0)
        lines = [line.decode(errors="replace").rstrip()[:300] for line in self.output]
        return ([line for line in lines if line.startswith(TELLING)] or lines)[-TOLD:]


def parts() -> list[Part]:
    """Those that take longest first. Every folder of tests is in one, whatever it is called."""
    files = sorted(str(file.relative_to(ROOT)) for file in (ROOT / "tests" / "integration").glob("test_*.py"))
    known = {"integration", "e2e", "faults"}
    folders = sorted({file.parts[-2] for file in (ROOT / "tests").glob("*/test_*.py")} - known)
    return [
        Part("integration-1", files[::2]),
        Part("integration-2", files[1::2]),
        Part("e2e", ["tests/e2e"]),
        *(Part(name, [f"tests/{name}", *OWN_CONFTEST.get(name, [])]) for name in folders),
    ]


def runnable(part: Part) -> bool:
    """Whether this machine has what the part needs; says so when it has not."""
    if part.name == "browser" and chromium.find() is None:
        print(f"The tests in a browser are left out: {chromium.MISSING}.", flush=True)
        return False
    return True


def run(waiting: list[Part], at_once: int) -> list[Part]:
    """The parts that failed."""
    failed: list[Part] = []
    running: list[Part] = []
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                running.append(waiting.pop(0))
                running[-1].start()
            for part in [each for each in running if each.ended()]:
                running.remove(part)
                if not part.show():
                    failed.append(part)
            time.sleep(0.1)  # until the next look: the first of several processes to end is waited for
    finally:
        interrupt(running)
    return failed


def interrupt(running: list[Part]) -> None:
    """End the parts as Ctrl-C does, so that they end what they have started; show what they said."""
    until = time.monotonic() + CLEANING_S
    for part in running:
        assert part.process is not None, "started"
        part.process.send_signal(signal.SIGINT)
    for part in running:
        assert part.process is not None, "started"
        try:
            part.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            part.process.terminate()
            part.process.wait()
        part.show()


def terminated(number: int, frame: FrameType | None) -> None:
    """As Ctrl-C: without this a SIGTERM would leave the parts running."""
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Command line; returns the exit code."""
    if arguments:
        return subprocess.call([*PYTEST, "--cov-report=term", *arguments], cwd=ROOT)
    shutil.rmtree(COVERAGE, ignore_errors=True)
    every = parts()
    present = [part for part in every if runnable(part)]
    left_out = "" if len(present) == len(every) else f" Without the tests in a browser: {chromium.MISSING}."
    failed = run(present, AT_ONCE) + run([Part("faults", ["tests/faults"])], 1)
    coverage = [sys.executable, "-m", "coverage"]
    data = [str(file) for file in sorted(COVERAGE.glob("*/.coverage"))]
    subprocess.call([*coverage, "combine", "--quiet", *data], cwd=ROOT)
    subprocess.call([*coverage, "report"], cwd=ROOT)
    for part in failed:
        print("\n".join([f"\n----- {part.name}", *part.failures()]))
    print((f"\nFailed: {', '.join(part.name for part in failed)}." if failed else "\nAll parts passed.") + left_out)
    return 1 if failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, terminated)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
