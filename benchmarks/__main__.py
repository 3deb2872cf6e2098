"""`python -m benchmarks`: run the workloads, print the table; exit code 1 when an answer was wrong."""

import argparse
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

from benchmarks import registry, table, wrk
from benchmarks.bench import Bench, Settings
from benchmarks.errors import BenchmarkError, UsageError
from benchmarks.parts import Parts
from benchmarks.registry import Workload
from benchmarks.rows import Row
from infrastructure.local.errors import LocalError


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the system beside baselines.")
    options.add_argument("--only", default="", help="workloads to run, with commas between")
    options.add_argument("--long", action="store_true", help="also those that take long")
    options.add_argument("--seconds", type=float, default=Settings.seconds, help="of each run (default: %(default)s)")
    options.add_argument("--rounds", type=int, default=Settings.rounds, help="how often each runs (default: 2)")
    options.add_argument("--set", default="", metavar="WORKLOAD.NAME=NUMBER", help="parameters, with spaces between")
    options.add_argument("--json", type=Path, metavar="FILE", help="write the table there, too")
    options.add_argument("--list", action="store_true", help="list the workloads")
    return options


def read(options: argparse.Namespace) -> Settings:
    """Raises UsageError."""
    if not 0.5 <= options.seconds <= 600 or not 1 <= options.rounds <= 20:
        raise UsageError("SECONDS_EACH must be from 0.5 to 600, ROUNDS from 1 to 20.")
    parameters: dict[str, int] = {}
    for word in options.set.split():
        name, equals, number = word.partition("=")
        if not (equals and number.isascii() and number.replace("_", "").isdigit()):
            raise UsageError(f"SET must be like memory.requests=1000, not {word!r}.")
        parameters[name] = int(number)
    only = tuple(name for name in options.only.replace(",", " ").split() if name)
    return Settings(options.seconds, options.rounds, options.long, only, parameters)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(workloads: list[Workload], settings: Settings) -> tuple[list[Row], dict[str, str]]:
    """The rows, and for each workload that failed why."""
    rows: list[Row] = []
    failures: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        parts = Parts(folder)
        bench = Bench(settings, folder, parts, say)
        try:
            say("starting PostgreSQL and RabbitMQ ...")
            parts.start()
            for workload in workloads:
                say(f"{workload.name} ...")
                try:
                    rows += workload.run(bench, workload.values(settings))
                except (BenchmarkError, LocalError) as error:
                    failures[workload.name] = str(error)
                    say(f"{workload.name} failed: {error}")
        finally:
            bench.stop()
            parts.stop()
    return rows, failures


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        settings = read(options)
        known = registry.load()
        if options.list:
            for workload in known:
                print(f"{workload.name:18}{'long  ' if workload.long else '      '}{dict(workload.parameters) or ''}")
            return 0
        chosen = registry.choose(known, settings)
        wrk.check_installed()
        rows, failures = run(chosen, settings)
        table.show(rows, failures)
        if options.json:
            table.write(options.json, table.document(rows, failures, asdict(settings)))
    except (UsageError, LocalError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        return 130
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
