"""What came of a run, in a table, and whether all is well."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from simulation.check import Checked
from simulation.display import errors
from simulation.tally import OUTCOME, Seen

SHOWN = 10


def print_summary(console: Console, seen: Seen, checked: Checked, errors_seen: list[str]) -> bool:
    """Prints it; True when there was no error and no difference."""
    shown = Table(title="Summary")
    shown.add_column("")
    shown.add_column("", justify="right")
    shown.add_row("requests", f"{seen.requests:,} ({seen.rate(seen.requests):,.1f} a second)")
    shown.add_row("errors by status", errors(seen).removeprefix("errors "))
    shown.add_row("latency p50, p99", f"{1000 * seen.latency_s(0.5):,.1f} ms, {1000 * seen.latency_s(0.99):,.1f} ms")
    for name in OUTCOME:
        shown.add_row(name, f"{seen.counts[name]:,}")
    shown.add_row("by the API: trips of these riders", f"{checked.trips:,}")
    for status in sorted(checked.statuses):
        shown.add_row(f"by the API: {status}", f"{checked.statuses[status]:,}")
    shown.add_row("routes read back", f"{checked.routes:,} with {checked.positions:,} accepted positions")
    shown.add_row("differences", f"{len(checked.differences):,}")
    console.print(shown)
    for text in _some(checked.differences):
        console.print(f"[red]differs[/red] {escape(text)}", soft_wrap=True, highlight=False)
    for text in _some(errors_seen):
        console.print(f"[red]failed[/red] {escape(text)}", soft_wrap=True, highlight=False)
    is_well = not checked.differences and not seen.has_failed and not errors_seen
    console.print("[green]No error, no difference.[/green]" if is_well else "[red]Not all is well.[/red]")
    return is_well


def _some(lines: list[str]) -> list[str]:
    more = [f"... and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return lines[:SHOWN] + more
