"""Marshmallow fields for query parameters, which arrive as text."""

import math
import re
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

from shared.fields import coordinates_problem

INTEGER = re.compile(r"[0-9]{1,9}", re.ASCII)
DECIMAL = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)


class WholeNumber(fields.Field[int]):
    """Digits for an integer within [minimum, maximum]."""

    def __init__(self, *, minimum: int, maximum: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.minimum, self.maximum = minimum, maximum

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        if not INTEGER.fullmatch(value) or not self.minimum <= int(value) <= self.maximum:
            raise ValidationError(f"Must be a whole number from {self.minimum} to {self.maximum}.")
        return int(value)


class DecimalNumber(fields.Field[float]):
    """A decimal number within [minimum, maximum]; without `includes_minimum`, above the minimum."""

    def __init__(self, *, minimum: float, maximum: float, includes_minimum: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.minimum, self.maximum, self.includes_minimum = minimum, maximum, includes_minimum

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> float:
        number = _number(value)
        if math.isnan(number) or not self.minimum <= number <= self.maximum:
            raise ValidationError(f"Must be a number from {self.minimum:g} to {self.maximum:g}.")
        if number == self.minimum and not self.includes_minimum:
            raise ValidationError(f"Must be more than {self.minimum:g}.")
        return number


class BoundingBox(fields.Field[list[float]]):
    """`minlon,minlat,maxlon,maxlat` in degrees; minlon > maxlon spans the 180° meridian."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> list[float]:
        numbers = [_number(part) for part in value.split(",")]
        if len(numbers) != 4 or any(math.isnan(number) for number in numbers):
            raise ValidationError("Must be four numbers: minlon,minlat,maxlon,maxlat.")
        problem = coordinates_problem(numbers[:2]) or coordinates_problem(numbers[2:])
        if problem:
            raise ValidationError(problem)
        if numbers[1] > numbers[3]:
            raise ValidationError("minlat must not be above maxlat.")
        return numbers


def _number(text: str) -> float:
    """The number, NaN when it is none."""
    return float(text) if DECIMAL.fullmatch(text) else math.nan
