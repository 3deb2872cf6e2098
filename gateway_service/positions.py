"""Positions over HTTP: validated, judged by age, and published as one message."""

from datetime import UTC, datetime
from typing import Any

from marshmallow import fields

from gateway_service.metrics import POSITIONS_ACCEPTED
from gateway_service.reports import Report
from shared import compiled_positions
from shared.compiled_positions import Position
from shared.errors import Invalid
from shared.long_list import LongList
from shared.positions import (
    MAX_POSITIONS,
    MAX_POSITIONS_PER_BIKE,
    FleetPositionSchema,
    PositionSchema,
    age_problem,
)
from shared.validation import StrictSchema


class BikeReportSchema(StrictSchema):
    """Positions of the bike in the path."""

    positions = LongList(fields.Nested(PositionSchema), required=True, maximum=MAX_POSITIONS_PER_BIKE)

    @staticmethod
    def read_compiled(data: bytes, path: dict[str, str]) -> dict[str, Any] | None:
        """The body by compiled code; None when it needs this schema."""
        return _body(compiled_positions.read(data, MAX_POSITIONS_PER_BIKE, path["bike_id"]))


class FleetReportSchema(StrictSchema):
    """Positions of any bikes."""

    positions = LongList(fields.Nested(FleetPositionSchema), required=True, maximum=MAX_POSITIONS)

    @staticmethod
    def read_compiled(data: bytes, path: dict[str, str]) -> dict[str, Any] | None:
        """The body by compiled code; None when it needs this schema."""
        return _body(compiled_positions.read(data, MAX_POSITIONS))


def _body(positions: list[Position] | None) -> dict[str, Any] | None:
    return None if positions is None else {"positions": positions}


def publish(reports: Any, positions: list[Any], request_id: str, bike_id: str | None = None) -> int:
    """Publish validated positions (of `bike_id`, or each with its own); returns how many.

    Raises Invalid when one is too old or too far ahead, Unavailable unless the broker has confirmed them.
    """
    now = datetime.now(UTC)
    read = [each if isinstance(each, Position) else Position.of(each, bike_id=bike_id) for each in positions]
    problems = ((index, age_problem(each.recorded_at, now)) for index, each in enumerate(read))
    errors = {f"positions.{index}.recorded_at": [problem] for index, problem in problems if problem}
    if errors:
        raise Invalid("The body is not valid.", {"errors": errors})
    reports.publish(Report(read, int(now.timestamp()), request_id, bike_id))
    POSITIONS_ACCEPTED.inc(len(read))
    return len(read)
