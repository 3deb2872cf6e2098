"""What the gateway takes and answers: the schemas that validate, and that the OpenAPI document is made of."""

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from gateway_service.query_fields import BoundingBox, DecimalNumber, WholeNumber
from shared.fields import GeoPoint, Money, Number, Subject, Text, UTCDateTime, UUIDText
from shared.long_list import LongList
from shared.paging import DEFAULT_LIMIT, MAX_LIMIT
from shared.validation import StrictSchema
from shared.vehicle_types import VehicleTypeId

BIKE_STATUSES = ("available", "reserved", "in_use", "out_of_service", "retired")
SETTABLE_STATUSES = ("available", "out_of_service")
TRIP_STATUSES = ("active", "ended", "cancelled")
ENDED_BY = ("rider", "operator", "system")
MAX_BATCH = 1000
MAX_RADIUS_M, DEFAULT_RADIUS_M = 50_000, 1000
MAX_CURSOR = 1000


def enum(values: tuple[str, ...], **kwargs: Any) -> fields.String:
    return fields.String(validate=validate.OneOf(values, error="Must be one of: {choices}."), **kwargs)


class NewBikeSchema(StrictSchema):
    """What a bike is added with."""

    name = Text(maximum=100, metadata={"example": "Bike 7"})
    location = GeoPoint()
    battery_percent = Number(minimum=0, maximum=100, allow_none=True)
    vehicle_type_id = VehicleTypeId()


class NewBikesSchema(StrictSchema):
    """Bikes to add together: all or none."""

    bikes = LongList(fields.Nested(NewBikeSchema), required=True, maximum=MAX_BATCH)


class BikeChangeSchema(StrictSchema):
    """What to change; what is not named stays."""

    name = Text(maximum=100)
    status = enum(SETTABLE_STATUSES)
    vehicle_type_id = VehicleTypeId()


class BikeQuerySchema(StrictSchema):
    """Either a list (status, bbox, limit, cursor) or the nearest (lat, lon, radius, status, limit)."""

    status = enum(BIKE_STATUSES)
    bbox = BoundingBox()
    limit = WholeNumber(minimum=1, maximum=MAX_LIMIT, load_default=DEFAULT_LIMIT)
    cursor = Text(maximum=MAX_CURSOR)
    lat = DecimalNumber(minimum=-90, maximum=90)
    lon = DecimalNumber(minimum=-180, maximum=180)
    radius = DecimalNumber(minimum=0, maximum=MAX_RADIUS_M, metadata={"default": DEFAULT_RADIUS_M})

    @validates_schema
    def judge_mode(self, data: dict[str, Any], **kwargs: Any) -> None:
        errors: dict[str, list[str]] = {}
        if ("lat" in data) != ("lon" in data):
            errors["lon" if "lat" in data else "lat"] = ["lat and lon are given together."]
        if "lat" in data or "lon" in data:
            errors |= {name: ["Not together with lat and lon."] for name in ("bbox", "cursor") if name in data}
        elif "radius" in data:
            errors["radius"] = ["Only together with lat and lon."]
        if errors:
            raise ValidationError(errors)


class BikeSchema(StrictSchema):
    """A bike."""

    id = UUIDText(required=True)
    name = Text(required=True, allow_none=True)
    status = enum(BIKE_STATUSES, required=True)
    location = GeoPoint(required=True, allow_none=True)
    located_at = UTCDateTime(required=True, allow_none=True)
    battery_percent = Number(required=True, minimum=0, maximum=100, allow_none=True)
    vehicle_type_id = VehicleTypeId(required=True)
    created_at = UTCDateTime(required=True)
    updated_at = UTCDateTime(required=True)


class ListedBikeSchema(BikeSchema):
    """A bike in a list; with its distance in a list of the nearest."""

    distance_m = Number(minimum=0)


class BikesSchema(StrictSchema):
    """A page of bikes."""

    items = fields.List(fields.Nested(ListedBikeSchema), required=True)
    next = fields.String(required=True, allow_none=True)


class AddedBikesSchema(StrictSchema):
    """The bikes added, in the order given."""

    items = fields.List(fields.Nested(BikeSchema), required=True)


class StreamQuerySchema(StrictSchema):
    """What part of the city to see."""

    bbox = BoundingBox()


class NewTripSchema(StrictSchema):
    """The bike to rent."""

    bike_id = UUIDText(required=True)


class TripEndSchema(StrictSchema):
    """Where the bike is left; without it, its last position counts."""

    location = GeoPoint()


class NothingSchema(StrictSchema):
    """No members."""


class TripQuerySchema(StrictSchema):
    """Filters of the list of trips."""

    status = enum(TRIP_STATUSES)
    bike_id = UUIDText()
    rider_id = Subject()
    started_after = UTCDateTime()
    started_before = UTCDateTime()
    limit = WholeNumber(minimum=1, maximum=MAX_LIMIT, load_default=DEFAULT_LIMIT)
    cursor = Text(maximum=MAX_CURSOR)


class TripSchema(StrictSchema):
    """A trip."""

    id = UUIDText(required=True)
    bike_id = UUIDText(required=True)
    rider_id = Subject(required=True)
    status = enum(TRIP_STATUSES, required=True)
    started_at = UTCDateTime(required=True)
    ended_at = UTCDateTime(required=True, allow_none=True)
    ended_by = enum(ENDED_BY, required=True, allow_none=True)
    start_location = GeoPoint(required=True, allow_none=True)
    end_location = GeoPoint(required=True, allow_none=True)
    distance_m = Number(required=True, minimum=0)
    duration_s = Number(required=True, minimum=0, allow_none=True)
    fare = fields.Nested(Money, required=True, allow_none=True)


class TripsSchema(StrictSchema):
    """A page of trips, newest first."""

    items = fields.List(fields.Nested(TripSchema), required=True)
    next = fields.String(required=True, allow_none=True)


class AcceptedSchema(StrictSchema):
    """How many positions the broker has confirmed."""

    accepted = fields.Integer(required=True)
