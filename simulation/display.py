"""Shows what happens: a table that lives on a terminal, a line now and then elsewhere."""

import time
from collections import deque
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from simulation.tally import FAILURES, OUTCOME, Seen, Tally

LINE_EVERY_S = 5.0
# rates are those of the last so many seconds
WINDOW_S = 10.0


class Display:
    """`title` stands above the table."""

    def __init__(self, console: Console, tally: Tally, title: str) -> None:
        self._console, self._tally, self._title = console, tally, title
        self._past: deque[Seen] = deque([tally.seen()])
        self._line_at = time.monotonic() + LINE_EVERY_S
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self) -> None:
        """The state now."""
        if self._live is None and time.monotonic() < self._line_at:
            return
        seen = self._tally.seen()
        recent = seen.since(self._past[0])
        self._past.append(seen)
        while len(self._past) > 1 and seen.at - self._past[0].at > WINDOW_S:
            self._past.popleft()
        if self._live is not None:
            self._live.update(table(self._title, seen, recent), refresh=True)
        else:
            self._line_at = time.monotonic() + LINE_EVERY_S
            self._console.print(line(seen, recent), soft_wrap=True, highlight=False)


def table(title: str, seen: Seen, recent: Seen) -> Table:
    """Everything so far, and what of it is recent."""
    shown = Table(title=title, title_justify="left")
    shown.add_column("")
    shown.add_column("so far", justify="right")
    shown.add_column(f"last {WINDOW_S:.0f} s", justify="right")
    shown.add_row("requests", f"{seen.requests:,}", f"{recent.rate(recent.requests):,.1f}/s")
    for name in (OUTCOME.positions, OUTCOME.started, OUTCOME.ended, OUTCOME.cancelled, OUTCOME.taken):
        shown.add_row(name, f"{seen.counts[name]:,}", f"{recent.rate(recent.counts[name]):,.1f}/s")
    shown.add_row("[bold]trips active now", f"[bold]{seen.active:,}", "")
    shown.add_section()
    for label, share in (("latency p50", 0.5), ("latency p99", 0.99)):
        shown.add_row(label, f"{1000 * seen.latency_s(share):,.1f} ms", f"{1000 * recent.latency_s(share):,.1f} ms")
    shown.add_section()
    for status, number in seen.errors.items():
        shown.add_row(f"[red]errors {status}", f"[red]{number:,}", "")
    for name in FAILURES:
        if seen.counts[name]:
            shown.add_row(f"[red]{name}", f"[red]{seen.counts[name]:,}", "")
    if not seen.has_failed:
        shown.add_row("[green]errors", "[green]0", "")
    return shown


def line(seen: Seen, recent: Seen) -> str:
    """The same in one line."""
    return (
        f"{recent.rate(recent.requests):,.0f} requests/s, "
        f"{recent.rate(recent.counts[OUTCOME.positions]):,.0f} positions/s, "
        f"{seen.active:,} trips active, {seen.counts[OUTCOME.ended]:,} ended, "
        f"p50 {1000 * recent.latency_s(0.5):,.0f} ms, p99 {1000 * recent.latency_s(0.99):,.0f} ms, "
        f"{errors(seen)}"
    )


def errors(seen: Seen) -> str:
    """Errors by status in words."""
    return (
        "errors " + ", ".join(f"{status}: {number:,}" for status, number in seen.errors.items())
        if seen.errors
        else "no error"
    )
