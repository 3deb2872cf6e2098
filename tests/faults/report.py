"""The table at the end: what was tried, and the numbers."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """One fault, or several of one kind: times in seconds, the longest of them."""

    fault: str
    requests: int
    failed: int
    recovery_s: float
    settled_s: float
    trips: int
    positions: int
    duplicates: int
    replays: int
    times: int = 1

    def plus(self, other: "Row") -> "Row":
        return Row(
            self.fault,
            self.requests + other.requests,
            self.failed + other.failed,
            max(self.recovery_s, other.recovery_s),
            max(self.settled_s, other.settled_s),
            self.trips + other.trips,
            self.positions + other.positions,
            self.duplicates + other.duplicates,
            self.replays + other.replays,
            self.times + other.times,
        )


@dataclass
class Report:
    """Rows by fault, and sentences of tests that count other things."""

    rows: dict[str, Row] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, row: Row) -> None:
        known = self.rows.get(row.fault)
        self.rows[row.fault] = row if known is None else known.plus(row)

    def lines(self) -> Iterable[str]:
        yield (
            f"{'fault':<42}{'times':>6}{'requests':>9}{'failed':>8}{'back in s':>10}{'at rest s':>10}"
            f"{'trips':>7}{'positions':>10}{'events again':>13}{'replays':>8}"
        )
        total: Row | None = None
        for row in self.rows.values():
            yield _line(row)
            total = row if total is None else total.plus(row)
        if total is not None:
            yield _line(Row(**{**vars(total), "fault": "all"}))
        yield from self.notes


def _line(row: Row) -> str:
    return (
        f"{row.fault:<42}{row.times:>6}{row.requests:>9}{row.failed:>8}{row.recovery_s:>10.1f}{row.settled_s:>10.1f}"
        f"{row.trips:>7}{row.positions:>10}{row.duplicates:>13}{row.replays:>8}"
    )
