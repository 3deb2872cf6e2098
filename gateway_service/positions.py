"""Positions over HTTP: validated in slices, judged by age, and published as one message."""

from datetime import UTC, datetime
from typing import Any

import eventlet
from marshmallow import fields

from gateway_service.metrics import POSITIONS_ACCEPTED
from shared import http_json, tracing
from shared.errors import Invalid
from shared.fields import format_time
from shared.long_list import SLICE, LongList
from shared.positions import (
    EXCHANGE,
    FLEET_KEY,
    MAX_POSITIONS,
    MAX_POSITIONS_PER_BIKE,
    FleetPositionSchema,
    PositionSchema,
    age_problem,
    bike_key,
)
from shared.validation import StrictSchema

NUMBERS = ("battery_percent", "speed_mps", "accuracy_m")


class BikeReportSchema(StrictSchema):
    """Positions of the bike in the path."""

    positions = LongList(fields.Nested(PositionSchema), required=True, maximum=MAX_POSITIONS_PER_BIKE)


class FleetReportSchema(StrictSchema):
    """Positions of any bikes."""

    positions = LongList(fields.Nested(FleetPositionSchema), required=True, maximum=MAX_POSITIONS)


def publish(publisher: Any, positions: list[dict[str, Any]], request_id: str, bike_id: str | None = None) -> int:
    """Publish validated positions (of `bike_id`, or each with its own) as one message; returns how many.

    Raises Invalid when one is too old or too far ahead, Unavailable unless the broker has confirmed the message.
    """
    now = datetime.now(UTC)
    problems = ((index, age_problem(each["recorded_at"], now)) for index, each in enumerate(positions))
    errors = {f"positions.{index}.recorded_at": [problem] for index, problem in problems if problem}
    if errors:
        raise Invalid("The body is not valid.", {"errors": errors})
    with tracing.spans().publishing(EXCHANGE.name) as span:
        publisher.publish(
            EXCHANGE.name,
            FLEET_KEY if bike_id is None else bike_key(bike_id),
            message_of(positions, bike_id),
            headers={"nameko.request_id": request_id, **span.headers},
            # A consumer judges age by this time, so that waiting in the queue makes nothing too old.
            timestamp=int(now.timestamp()),
        )
    POSITIONS_ACCEPTED.inc(len(positions))
    return len(positions)


def message_of(positions: list[dict[str, Any]], bike_id: str | None) -> bytes:
    """The body of the message; other requests run while a long one is made."""
    slices = []
    for start in range(0, len(positions), SLICE):
        members = [as_published(each, bike_id) for each in positions[start : start + SLICE]]
        slices.append(http_json.dump(members)[1:-1])
        eventlet.sleep(0)
    return b'{"positions":[' + b",".join(slices) + b"]}"


def as_published(position: dict[str, Any], bike_id: str | None) -> dict[str, Any]:
    """A position as it stands in a message: always with its bike, without members that are null."""
    longitude, latitude = position["location"]
    message = {
        "bike_id": bike_id or position["bike_id"],
        "recorded_at": format_time(position["recorded_at"]),
        "location": {"type": "Point", "coordinates": [longitude, latitude]},
    }
    return message | {name: position[name] for name in NUMBERS if position.get(name) is not None}
