"""What the unversioned routes answer, the shape of a route on the map, and of a problem."""

from marshmallow import Schema, fields, validate

from shared.fields import UTCDateTime, UUIDText

CHECKS = ("broker", "bike_service", "trip_service")


class IndexSchema(Schema):
    """Where to go from here."""

    name = fields.String(required=True)
    version = fields.String(required=True)
    links = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


class ChecksSchema(Schema):
    """What the gateway needs, each asked just now."""

    broker = fields.String(required=True, validate=validate.OneOf(("ok", "unavailable")))
    bike_service = fields.String(required=True, validate=validate.OneOf(("ok", "unavailable")))
    trip_service = fields.String(required=True, validate=validate.OneOf(("ok", "unavailable")))


class HealthSchema(Schema):
    """`ok` when every check is."""

    status = fields.String(required=True, validate=validate.OneOf(("ok", "degraded")))
    checks = fields.Nested(ChecksSchema, required=True)


class LineStringSchema(Schema):
    """GeoJSON (RFC 7946): [longitude, latitude] pairs."""

    type = fields.String(required=True, validate=validate.Equal("LineString"))
    coordinates = fields.List(fields.List(fields.Float(), validate=validate.Length(equal=2)), required=True)


class RoutePropertiesSchema(Schema):
    """`recorded_at` has a time for each of the coordinates."""

    trip_id = UUIDText(required=True)
    bike_id = UUIDText(required=True)
    recorded_at = fields.List(UTCDateTime(), required=True)


class RouteSchema(Schema):
    """The way of a trip, in time order, as a GeoJSON Feature; without positions its geometry is null."""

    type = fields.String(required=True, validate=validate.Equal("Feature"))
    geometry = fields.Nested(LineStringSchema, required=True, allow_none=True)
    properties = fields.Nested(RoutePropertiesSchema, required=True)


class ProblemSchema(Schema):
    """What went wrong (RFC 9457)."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    errors = fields.Dict(keys=fields.String(), values=fields.List(fields.String()))
