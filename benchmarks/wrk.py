"""Loading over HTTP with wrk, whose scripts (`lua/`) judge every answer and keep the books."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError, UsageError
from benchmarks.measure import Sample

SCRIPTS = Path(__file__).parent / "lua"
MARKER = "wrk-result "
WRONG_MARKER = "wrk-wrong "
ERRORS = ("connect", "read", "write", "status", "timeout", "wrong")


@dataclass(frozen=True)
class Load:
    """`script`: a name in `lua/`; `variables` are what it reads from its environment."""

    script: str
    url: str
    variables: Mapping[str, str]
    connections: int = 50


@dataclass(frozen=True)
class Result:
    """What wrk counted. `wrong` (among `errors`) are answers that the script did not accept."""

    requests: int
    duration_s: float
    p50_ms: float
    p99_ms: float
    errors: Mapping[str, int]
    first_wrong: str = ""


def check_installed() -> None:
    """Raises UsageError with what to install."""
    if not shutil.which("wrk"):
        raise UsageError("wrk is not on the PATH. Install it: apt-get install wrk (Debian, Ubuntu), brew install wrk.")


def run(loads: Sequence[Load], seconds: float) -> Sample:
    """Run the loads side by side for so many seconds; one sample of all. Raises BenchmarkError for any error."""
    children = [_start(load, seconds) for load in loads]
    outputs = [child.communicate() for child in children]
    for child, (output, errors) in zip(children, outputs, strict=True):
        if child.returncode:
            raise BenchmarkError(f"wrk ended with code {child.returncode}: {(errors or output).strip()[-500:]}")
    results = [parse(output) for output, _ in outputs]
    for load, result in zip(loads, results, strict=True):
        judge(load.script, result)
    return Sample(
        sum(result.requests for result in results),
        max(result.duration_s for result in results),
        max(result.p50_ms for result in results),
        max(result.p99_ms for result in results),
    )


def _start(load: Load, seconds: float) -> subprocess.Popen[str]:
    # Whole seconds are what wrk takes. One thread does many times what is loaded here.
    command = [
        "wrk", "-t1", f"-c{load.connections}", f"-d{max(round(seconds), 1)}s", "--timeout", "15s",
        "-s", str(SCRIPTS / f"{load.script}.lua"), load.url,
    ]  # fmt: skip
    environment = {"PATH": os.environ.get("PATH", os.defpath), "BENCH_LUA": str(SCRIPTS), **load.variables}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def parse(output: str) -> Result:
    """The line that `lua/common.lua` prints at the end. Raises BenchmarkError when there is none."""
    lines = output.splitlines()
    line = next((line for line in lines if line.startswith(MARKER)), None)
    if line is None:
        raise BenchmarkError(f"wrk printed no result: {output.strip()[-500:]}")
    counted = json.loads(line.removeprefix(MARKER))
    return Result(
        requests=counted["requests"],
        duration_s=counted["duration_us"] / 1e6,
        p50_ms=counted["p50_us"] / 1e3,
        p99_ms=counted["p99_us"] / 1e3,
        errors={name: counted[name] for name in ERRORS},
        first_wrong=next((each.removeprefix(WRONG_MARKER) for each in lines if each.startswith(WRONG_MARKER)), ""),
    )


def judge(what: str, result: Result) -> None:
    """Raises BenchmarkError unless there were answers, and all of them right."""
    wrong = ", ".join(f"{count} {name}" for name, count in result.errors.items() if count)
    if wrong:
        raise BenchmarkError(f"{what}: of {result.requests} answers: {wrong}. {result.first_wrong}".strip())
    if not result.requests:
        raise BenchmarkError(f"{what}: no answers")
