"""A line of the table."""

from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.marks import Mark
from benchmarks.measure import Measurement


@dataclass(frozen=True)
class Row:
    """`ours` and `baseline` are figures of `unit`; `judged` is what the mark is about, by default their ratio.

    `of` and `beside` hold the measurements behind the figures.
    """

    workload: str
    against: str
    unit: str
    ours: float
    baseline: float | None
    judged: float | None
    mark: Mark | None
    of: Measurement | None = None
    beside: Measurement | None = None

    @property
    def is_reached(self) -> bool | None:
        """None where there is no mark."""
        if self.mark is None:
            return None
        return self.judged is not None and self.mark.is_reached(self.judged)

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "mark": str(self.mark) if self.mark else None, "is_reached": self.is_reached}


def ratio(ours: float, baseline: float) -> float:
    """How many times the baseline; NaN when there is none."""
    return ours / baseline if baseline else float("nan")


def faster(workload: str, unit: str, ours: Measurement, baseline: Measurement, mark: Mark | None) -> Row:
    """Rates side by side, the mark being about their ratio."""
    times = ratio(ours.rate, baseline.rate)
    return Row(workload, baseline.name, unit, ours.rate, baseline.rate, times, mark, ours, baseline)


def judged(workload: str, what: str, unit: str, value: float, mark: Mark | None, of: Measurement | None = None) -> Row:
    """A figure that is judged by itself."""
    return Row(workload, what, unit, value, None, value, mark, of)
