"""What comes in by RPC, and the trip and its route as others see them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from marshmallow import fields, validate

from shared.fields import GeoPoint, Money, Number, Subject, Text, UTCDateTime, UUIDText, format_time
from shared.paging import DEFAULT_LIMIT, MAX_LIMIT
from shared.validation import StrictSchema
from trip_service.domain import Status
from trip_service.models import Trip

SHOWN_STATUSES = [status.value for status in Status if status != Status.VOID]


class StartSchema(StrictSchema):
    """Arguments of `start`."""

    bike_id = UUIDText(required=True)
    rider_id = Subject(required=True)
    trip_id = UUIDText()
    idempotency_key = Text(maximum=255)


class TripIdSchema(StrictSchema):
    """A trip by its id, and the rider who asks, if one does."""

    trip_id = UUIDText(required=True)
    rider_id = Subject()


class EndSchema(TripIdSchema):
    """Arguments of `end`."""

    location = GeoPoint()


class ListSchema(StrictSchema):
    """Arguments of `list`."""

    status = fields.String(validate=validate.OneOf(SHOWN_STATUSES))
    bike_id = UUIDText()
    rider_id = Subject()
    started_after = UTCDateTime()
    started_before = UTCDateTime()
    limit = fields.Integer(strict=True, load_default=DEFAULT_LIMIT, validate=validate.Range(1, MAX_LIMIT))
    cursor = fields.String()


class CheckedOutBikeSchema(StrictSchema):
    """Of bike_service's answer to `check_out` just what a trip needs."""

    class Meta:
        unknown = "exclude"

    location = GeoPoint(required=True, allow_none=True)


class CheckOutSchema(StrictSchema):
    """One of bike_service's check-outs."""

    class Meta:
        unknown = "exclude"

    bike_id = UUIDText(required=True)
    trip_id = UUIDText(required=True)
    rider_id = Subject(required=True)
    age_s = Number(required=True)


class TripSchema(StrictSchema):
    """A trip as the contract shows it."""

    id = UUIDText()
    bike_id = UUIDText()
    rider_id = fields.String()
    status = fields.String()
    started_at = UTCDateTime()
    ended_at = UTCDateTime(allow_none=True)
    ended_by = fields.String(allow_none=True)
    start_location = GeoPoint(allow_none=True)
    end_location = GeoPoint(allow_none=True)
    distance_m = Number()
    duration_s = fields.Integer(allow_none=True)
    fare = fields.Nested(Money, allow_none=True)


_trip = TripSchema()


def show(trip: Trip) -> dict[str, Any]:
    """The trip as the contract shows it."""
    shown: dict[str, Any] = _trip.dump(trip)
    return {**shown, "distance_m": round(trip.distance_m, 2)}


def event_data(trip: Trip) -> dict[str, Any]:
    """The trip as its events carry it, with its revision."""
    return {**show(trip), "revision": trip.revision}


def route_feature(trip: Trip, points: Sequence[tuple[datetime, float, float]]) -> dict[str, Any]:
    """The (time, longitude, latitude) `points` as a GeoJSON Feature (RFC 7946, section 3.2).

    A LineString takes two positions or more, so a single one stands twice, and none is a null geometry.
    """
    line = [*points, *points] if len(points) == 1 else points
    return {
        "type": "Feature",
        "geometry": {"type": "LineString", "coordinates": [[lon, lat] for _, lon, lat in line]} if line else None,
        "properties": {
            "trip_id": trip.id,
            "bike_id": trip.bike_id,
            "recorded_at": [format_time(recorded_at) for recorded_at, _, _ in line],
        },
    }
