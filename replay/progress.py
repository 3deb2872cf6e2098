"""Shows how far the replay is: a bar on a terminal, a line now and then elsewhere."""

import threading
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

LINE_EVERY_S = 10.0


class RideProgress:
    """Counts rides and points; may be told of them by several threads."""

    def __init__(self, console: Console, rides: int, points: int) -> None:
        self._console = console
        self._rides, self._points = rides, points
        self._rides_done = self._points_done = 0
        self._lock = threading.Lock()
        self._line_at = time.monotonic() + LINE_EVERY_S
        self._bar: Progress | None = None
        if console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=console)
            self._ride_task = self._bar.add_task("rides ", total=rides)
            self._point_task = self._bar.add_task("points", total=points)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        else:
            self._print()

    def reported(self, points: int) -> None:
        self._advance(0, points)

    def ridden(self) -> None:
        self._advance(1, 0)

    def _advance(self, rides: int, points: int) -> None:
        with self._lock:
            self._rides_done += rides
            self._points_done += points
            if self._bar is not None:
                self._bar.update(self._ride_task, completed=self._rides_done)
                self._bar.update(self._point_task, completed=self._points_done)
            elif time.monotonic() > self._line_at:
                self._line_at = time.monotonic() + LINE_EVERY_S
                self._print()

    def _print(self) -> None:
        rides = f"{self._rides_done:,} of {self._rides:,} rides"
        self._console.print(f"{rides}, {self._points_done:,} of {self._points:,} points")
