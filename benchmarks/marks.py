"""What a figure has to reach."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mark:
    """`at_least` and `at_most` hold with equality, `more_than` and `less_than` without; all that are given hold."""

    at_least: float | None = None
    at_most: float | None = None
    more_than: float | None = None
    less_than: float | None = None

    def is_reached(self, value: float) -> bool:
        """NaN reaches nothing."""
        return (
            value == value
            and (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
            and (self.more_than is None or value > self.more_than)
            and (self.less_than is None or value < self.less_than)
        )

    def __str__(self) -> str:
        bounds = (("≥", self.at_least), ("≤", self.at_most), (">", self.more_than), ("<", self.less_than))
        return " ".join(f"{sign} {_number(bound)}" for sign, bound in bounds if bound is not None)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
