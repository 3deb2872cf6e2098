"""Marshmallow fields for what every service reads and writes: UTC times, GeoJSON points, money, plain text.

All are strict: no string is taken for a number, no boolean for anything but a boolean.
"""

import math
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from marshmallow import Schema, ValidationError, fields

RFC3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(?:\.(\d{1,6})\d*)?(?:[Zz]|([+-])(\d{2}):([0-5]\d))", re.ASCII
)
# PostgreSQL's text cannot hold NUL, and no text is sent as UTF-8 with a lone surrogate in it.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

# An angle smaller than this is none; PostgreSQL refuses to reckon with what is next to nothing (underflow).
NEGLIGIBLE = 1e-100

Point = tuple[float, float]
"""(longitude, latitude) in degrees, as GeoJSON orders them (RFC 7946, section 3.1.1)."""


def parse_time(text: str) -> datetime:
    """An RFC 3339 `date-time` as an aware UTC datetime with microseconds; further digits are cut off.

    Raises ValueError for anything else, a time without an offset included.
    """
    match = RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("Not an RFC 3339 time in UTC, such as 2026-05-01T12:00:00Z.")
    date, clock, fraction, sign, hours, minutes = match.groups()
    offset = f"{sign}{hours}:{minutes}" if sign else "+00:00"
    try:
        moment = datetime.fromisoformat(f"{date}T{clock}.{(fraction or '0').ljust(6, '0')}{offset}")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("Not a time that exists.") from None


def format_time(moment: datetime) -> str:
    """An aware datetime as RFC 3339 in UTC with `Z`, fractions only where there are some."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class UTCDateTime(fields.Field[datetime]):
    """RFC 3339 text <-> aware UTC datetime."""

    default_error_messages = {"invalid": "Not an RFC 3339 time in UTC, such as 2026-05-01T12:00:00Z."}

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else format_time(value)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> datetime:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        try:
            return parse_time(value)
        except ValueError as error:
            raise ValidationError(str(error)) from None


class UUIDText(fields.Field[str]):
    """A UUID in its canonical text form, in and out (`8-4-4-4-12` hexadecimal digits)."""

    default_error_messages = {"invalid": "Not a UUID."}

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else str(value)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        canonical = canonical_uuid(value)
        if canonical is None:
            raise self.make_error("invalid")
        return canonical


def canonical_uuid(value: Any) -> str | None:
    """`value` as a lower-case UUID string, or None when it is no UUID in the 36-character form."""
    if not isinstance(value, str) or len(value) != 36:
        return None
    try:
        canonical = str(uuid.UUID(value))
    except ValueError:
        return None
    return canonical if canonical == value.lower() else None


class Number(fields.Field[float]):
    """A finite JSON number within [minimum, maximum]; booleans and strings are refused."""

    default_error_messages = {"invalid": "Not a number."}

    def __init__(self, *, minimum: float = -math.inf, maximum: float = math.inf, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.minimum, self.maximum = minimum, maximum

    def _serialize(self, value: float | None, attr: str | None, obj: Any, **kwargs: Any) -> float | None:
        return value

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.make_error("invalid")
        try:
            number = float(value)
        except OverflowError:
            raise self.make_error("invalid") from None
        if not math.isfinite(number):
            raise self.make_error("invalid")
        if not self.minimum <= number <= self.maximum:
            if math.isinf(self.maximum):
                raise ValidationError(f"Must be at least {self.minimum:g}.")
            raise ValidationError(f"Must be between {self.minimum:g} and {self.maximum:g}.")
        return number


class Degrees(Number):
    """A number of degrees to reckon with."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> float:
        return _settled(super()._deserialize(value, attr, data, **kwargs))


def _settled(degrees: float) -> float:
    return degrees if abs(degrees) >= NEGLIGIBLE else 0.0


class Text(fields.Field[str]):
    """Text of `minimum` to `maximum` characters without control characters; not only blanks."""

    default_error_messages = {"invalid": "Not a string."}

    def __init__(self, *, maximum: int = 255, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.maximum = maximum

    def _serialize(self, value: str | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return value

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        if not 1 <= len(value) <= self.maximum or not value.strip():
            raise ValidationError(f"Must be 1 to {self.maximum} characters, not all of them blank.")
        if CONTROL.search(value):
            raise ValidationError("Must not contain control characters.")
        return value


class Subject(fields.Field[str]):
    """A token's subject: any text of 1 to 255 characters that can be stored."""

    default_error_messages = {"invalid": "Not a text of 1 to 255 characters."}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not is_subject(value):
            raise self.make_error("invalid")
        return str(value)


def is_subject(value: Any) -> bool:
    """Whether `value` is text of 1 to 255 characters that PostgreSQL and UTF-8 can hold."""
    return isinstance(value, str) and 1 <= len(value) <= 255 and not UNSTORABLE.search(value)


class GeoPoint(fields.Field[Point]):
    """GeoJSON `Point` (RFC 7946, section 3.1.2) <-> (longitude, latitude); exactly two coordinates."""

    default_error_messages = {
        "invalid": 'Not a GeoJSON Point, such as {{"type": "Point", "coordinates": [8.5, 47.4]}}.'
    }

    def _serialize(self, value: Point | None, attr: str | None, obj: Any, **kwargs: Any) -> dict[str, Any] | None:
        return None if value is None else {"type": "Point", "coordinates": [value[0], value[1]]}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Point:
        if not isinstance(value, dict):
            raise self.make_error("invalid")
        errors: dict[str, list[str]] = {name: ["Unknown field."] for name in value if name not in GEOJSON_MEMBERS}
        if value.get("type") != "Point":
            errors["type"] = ['Must be "Point".']
        problem = coordinates_problem(value.get("coordinates"))
        if problem:
            errors["coordinates"] = [problem]
        if errors:
            raise ValidationError(errors)
        longitude, latitude = value["coordinates"]
        return _settled(float(longitude)), _settled(float(latitude))


GEOJSON_MEMBERS = frozenset({"type", "coordinates"})


def coordinates_problem(coordinates: Any) -> str | None:
    """What is wrong with a [longitude, latitude] pair, or None."""
    if not isinstance(coordinates, list) or len(coordinates) != 2:
        return "Must be [longitude, latitude]."
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in coordinates):
        return "Must be two numbers."
    # Comparing, unlike float(), takes integers of any size, and is false for NaN.
    if not -180 <= coordinates[0] <= 180:
        return "Longitude must be between -180 and 180."
    if not -90 <= coordinates[1] <= 90:
        return "Latitude must be between -90 and 90."
    return None


class Money(Schema):
    """`{"amount": "3.20", "currency": "EUR"}`: a decimal string, never a float (ISO 4217 currency)."""

    amount = fields.String(required=True)
    currency = fields.String(required=True)

    @staticmethod
    def of(amount: Decimal, currency: str) -> dict[str, str]:
        """The money object; `amount` is written as it stands, so it comes quantised."""
        return {"amount": str(amount), "currency": currency}
