"""What comes in, and bike and trip as others see them; marshmallow's own fields."""

import math
from datetime import UTC, datetime
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from benchmarks.stock.models import Bike, Trip

STATUSES = ("available", "reserved", "in_use", "out_of_service", "retired")
DEFAULT_TYPE = "bike"


def check_coordinates(pair: list[float]) -> None:
    """Raises ValidationError unless it is longitude, latitude in degrees."""
    if len(pair) != 2 or not all(map(math.isfinite, pair)) or abs(pair[0]) > 180 or abs(pair[1]) > 90:
        raise ValidationError("Must be [longitude, latitude].")


class PointSchema(Schema):
    """A GeoJSON point."""

    type = fields.String(required=True, validate=validate.Equal("Point"))
    coordinates = fields.List(fields.Float(), required=True, validate=check_coordinates)


class ViewerSchema(Schema):
    """Who looks."""

    role = fields.String(validate=validate.OneOf(["anonymous", "rider", "vehicle", "operator"]))
    sub = fields.String(allow_none=True)


class BikeIdSchema(Schema):
    """A bike by its id."""

    bike_id = fields.UUID(required=True)
    viewer = fields.Nested(ViewerSchema)


class NearSchema(Schema):
    """A place and what is wanted around it."""

    lat = fields.Float(required=True, validate=validate.Range(-90, 90))
    lon = fields.Float(required=True, validate=validate.Range(-180, 180))
    radius = fields.Float(load_default=1000.0, validate=validate.Range(0, 50_000))
    status = fields.String(load_default="available", validate=validate.OneOf(STATUSES))
    limit = fields.Integer(load_default=50, validate=validate.Range(1, 500))
    viewer = fields.Nested(ViewerSchema)


class CheckOutSchema(Schema):
    """Who takes which bike for which trip."""

    bike_id = fields.UUID(required=True)
    trip_id = fields.UUID(required=True)
    rider_id = fields.String(required=True, validate=validate.Length(1, 255))


class CheckInSchema(Schema):
    """Which bike is freed of which trip."""

    bike_id = fields.UUID(required=True)
    trip_id = fields.UUID(required=True)


class NewTripSchema(Schema):
    """The bike to rent."""

    bike_id = fields.UUID(required=True)


class StartSchema(Schema):
    """Who rents which bike."""

    bike_id = fields.UUID(required=True)
    rider_id = fields.String(required=True, validate=validate.Length(1, 255))


class EndSchema(Schema):
    """Which trip is ended by whom."""

    trip_id = fields.UUID(required=True)
    rider_id = fields.String(validate=validate.Length(1, 255))


class TripEventSchema(Schema):
    """Of an event about a trip what frees its bike."""

    class Meta:
        unknown = "exclude"

    id = fields.UUID(required=True)
    bike_id = fields.UUID(required=True)


class PositionSchema(Schema):
    """A position of a bike."""

    bike_id = fields.UUID(required=True)
    recorded_at = fields.AwareDateTime(required=True, format="iso", default_timezone=UTC)
    location = fields.Nested(PointSchema, required=True)
    battery_percent = fields.Float(validate=validate.Range(0, 100), allow_none=True)
    speed_mps = fields.Float(validate=validate.Range(0), allow_none=True)
    accuracy_m = fields.Float(validate=validate.Range(0), allow_none=True)


class PositionsSchema(Schema):
    """A message of positions."""

    positions = fields.List(fields.Nested(PositionSchema), required=True, validate=validate.Length(1, 10_000))


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _point(longitude: float | None, latitude: float | None) -> dict[str, Any] | None:
    if longitude is None or latitude is None:
        return None
    return {"type": "Point", "coordinates": [longitude, latitude]}


class ShownBikeSchema(Schema):
    """A bike as it is shown."""

    id = fields.String()
    name = fields.String()
    status = fields.String()
    location = fields.Function(lambda bike: _point(bike.longitude, bike.latitude))
    located_at = fields.Function(lambda bike: _time(bike.located_at))
    battery_percent = fields.Float()
    vehicle_type_id = fields.Function(lambda bike: bike.vehicle_type_id or DEFAULT_TYPE)
    created_at = fields.Function(lambda bike: _time(bike.created_at))
    updated_at = fields.Function(lambda bike: _time(bike.updated_at))


class ShownTripSchema(Schema):
    """A trip as it is shown."""

    id = fields.String()
    bike_id = fields.String()
    rider_id = fields.String()
    status = fields.String()
    started_at = fields.Function(lambda trip: _time(trip.started_at))
    ended_at = fields.Function(lambda trip: _time(trip.ended_at))
    ended_by = fields.String()
    start_location = fields.Function(lambda trip: _point(trip.start_longitude, trip.start_latitude))
    end_location = fields.Function(lambda trip: _point(trip.end_longitude, trip.end_latitude))
    distance_m = fields.Function(lambda trip: round(trip.distance_m, 2))
    duration_s = fields.Integer()
    fare = fields.Function(
        lambda trip: (
            None if trip.fare_amount is None else {"amount": str(trip.fare_amount), "currency": trip.fare_currency}
        )
    )


_bike, _trip = ShownBikeSchema(), ShownTripSchema()


def show_bike(bike: Bike, viewer: dict[str, Any] | None) -> dict[str, Any]:
    """The bike; where it is in use, nobody but an operator sees where it is."""
    shown: dict[str, Any] = _bike.dump(bike)
    if bike.status == "in_use" and viewer is not None and viewer.get("role") != "operator":
        shown["location"] = shown["located_at"] = None
    return shown


def show_trip(trip: Trip) -> dict[str, Any]:
    """The trip."""
    shown: dict[str, Any] = _trip.dump(trip)
    return shown
