"""The table at the end of a run, and the same as JSON."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.rows import Row

COLUMNS = (
    "workload",
    "against",
    "ours",
    "baseline",
    "ratio",
    "mark",
    "reached",
    "p50",
    "p99",
    "CPU ms each",
    "peak MB",
)
RIGHT = ("ours", "baseline", "ratio", "mark", "p50", "p99")


def show(rows: Sequence[Row], failures: Mapping[str, str]) -> None:
    """Print the rows, and what has failed."""
    table = Table(title=f"{os.cpu_count()} cores, {platform.machine()}", show_lines=True)
    for column in COLUMNS:
        table.add_column(column, justify="right" if column in RIGHT else "left", no_wrap=column in RIGHT)
    shown: set[str] = set()
    for row in rows:
        table.add_row(*_cells(row, is_first=row.workload not in shown))
        shown.add(row.workload)
    console = Console(width=None if Console().is_terminal else 180)
    console.print(table)
    for name, reason in failures.items():
        console.print(f"[red]failed[/red] {name}: ", end="")
        console.print(reason, markup=False, highlight=False)


def _cells(row: Row, is_first: bool) -> list[str]:
    of = row.of if is_first else None
    return [
        row.workload,
        row.against,
        f"{_number(row.ours)} {row.unit}",
        "" if row.baseline is None else _number(row.baseline),
        "" if row.judged is None or row.baseline is None else f"{row.judged:.2f}",
        str(row.mark or ""),
        {None: "", True: "[green]yes[/green]", False: "[red]no[/red]"}[row.is_reached],
        _milliseconds(of.p50_ms if of else None),
        _milliseconds(of.p99_ms if of else None),
        _by_group({name: seconds * 1000 for name, seconds in of.cpu.items()}, "{:.3f}") if of else "",
        _by_group({name: size / 1e6 for name, size in of.peak.items()}, "{:.0f}") if of else "",
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} ms"


def _by_group(values: Mapping[str, float], form: str) -> str:
    return "\n".join(f"{name} {form.format(value)}" for name, value in values.items() if float(form.format(value)))


def document(rows: Sequence[Row], failures: Mapping[str, str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """All of the run as plain data."""
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    return {
        "machine": machine,
        "settings": dict(settings),
        "rows": [row.as_json() for row in rows],
        "failures": dict(failures),
    }


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Raises OSError."""
    path.write_text(json.dumps(content, indent=2, default=str) + "\n")
