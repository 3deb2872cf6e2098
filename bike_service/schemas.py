"""What comes in by RPC and events, and the bike as others see it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError, fields, validate

from bike_service import compiled_reads
from bike_service.domain import Status, Viewer
from bike_service.feed_rows import MAX_ROWS
from bike_service.models import Bike
from shared.event_batch import Event
from shared.fields import Degrees, GeoPoint, Number, Subject, Text, UTCDateTime, UUIDText, format_time
from shared.inbox import load_event
from shared.long_list import LongList
from shared.origins import Origin
from shared.paging import DEFAULT_LIMIT, MAX_LIMIT
from shared.validation import StrictSchema, load
from shared.vehicle_types import VehicleTypeId

STATUSES = [status.value for status in Status]
MAX_BATCH = 1000
ONE_YEAR_S = 366 * 24 * 3600


class NewBikeSchema(StrictSchema):
    """A bike to add."""

    bike_id = UUIDText(data_key="id")
    name = Text(maximum=100, allow_none=True)
    location = GeoPoint(allow_none=True)
    battery_percent = Number(minimum=0, maximum=100, allow_none=True)
    vehicle_type_id = VehicleTypeId()


class AddSchema(StrictSchema):
    """Arguments of `add`."""

    bike = fields.Nested(NewBikeSchema, required=True)
    subject = Subject()
    idempotency_key = Text(maximum=255)


class AddManySchema(StrictSchema):
    """Arguments of `add_many`."""

    bikes = LongList(fields.Nested(NewBikeSchema), required=True, maximum=MAX_BATCH)


class ViewerSchema(StrictSchema):
    """Who looks."""

    role = fields.String(validate=validate.OneOf(["anonymous", "rider", "vehicle", "operator"]), allow_none=True)
    sub = Subject(allow_none=True)


class BikeIdSchema(StrictSchema):
    """A bike by its id, and who looks."""

    bike_id = UUIDText(required=True)
    viewer = fields.Nested(ViewerSchema)

    read_compiled = staticmethod(compiled_reads.read_get)


def check_bbox(bbox: list[float]) -> None:
    """Raise ValidationError unless `bbox` is minlon, minlat, maxlon, maxlat."""
    if len(bbox) != 4:
        raise ValidationError("Must be minlon,minlat,maxlon,maxlat.")
    if not all(-180 <= longitude <= 180 for longitude in bbox[0::2]):
        raise ValidationError("Longitudes must be between -180 and 180.")
    if not all(-90 <= latitude <= 90 for latitude in bbox[1::2]) or bbox[1] > bbox[3]:
        raise ValidationError("Latitudes must be between -90 and 90, the lesser first.")


class ListSchema(StrictSchema):
    """Arguments of `list`."""

    status = fields.String(validate=validate.OneOf(STATUSES))
    bbox = fields.List(Number(), validate=check_bbox)
    limit = fields.Integer(strict=True, load_default=DEFAULT_LIMIT, validate=validate.Range(1, MAX_LIMIT))
    cursor = fields.String()
    viewer = fields.Nested(ViewerSchema)


class NearSchema(StrictSchema):
    """Arguments of `near`; `radius` in metres."""

    lat = Degrees(required=True, minimum=-90, maximum=90)
    lon = Degrees(required=True, minimum=-180, maximum=180)
    radius = Number(minimum=0, maximum=50_000, load_default=1000.0)
    status = fields.String(validate=validate.OneOf(STATUSES), load_default=Status.AVAILABLE.value)
    limit = fields.Integer(strict=True, load_default=DEFAULT_LIMIT, validate=validate.Range(1, MAX_LIMIT))
    viewer = fields.Nested(ViewerSchema)

    read_compiled = staticmethod(compiled_reads.read_near)


class ChangesSchema(StrictSchema):
    """What an operator may change of a bike."""

    name = Text(maximum=100)
    status = fields.String(validate=validate.OneOf([Status.AVAILABLE.value, Status.OUT_OF_SERVICE.value]))
    vehicle_type_id = VehicleTypeId()


class ChangeSchema(StrictSchema):
    """Arguments of `change`."""

    bike_id = UUIDText(required=True)
    changes = fields.Nested(ChangesSchema, required=True)


class FeedSchema(StrictSchema):
    """Arguments of `feed`."""

    after = UUIDText()
    rows = fields.Integer(strict=True, load_default=MAX_ROWS, validate=validate.Range(1, MAX_ROWS))


class FeedOfSchema(StrictSchema):
    """Arguments of `feed_of`."""

    bike_ids = LongList(UUIDText(), required=True, maximum=MAX_ROWS)


class CheckOutSchema(StrictSchema):
    """Arguments of `check_out`."""

    bike_id = UUIDText(required=True)
    trip_id = UUIDText(required=True)
    rider_id = Subject(required=True)


class CheckInSchema(StrictSchema):
    """Arguments of `check_in`."""

    bike_id = UUIDText(required=True)
    trip_id = UUIDText(required=True)


class CheckOutsSchema(StrictSchema):
    """Arguments of `check_outs`."""

    older_than_s = Number(minimum=0, maximum=ONE_YEAR_S, load_default=0.0)
    limit = fields.Integer(strict=True, load_default=MAX_LIMIT, validate=validate.Range(1, MAX_LIMIT))
    cursor = fields.String()


@dataclass(frozen=True)
class EndedTrip:
    """What a `trip_ended` or `trip_cancelled` event says, with its own id.

    `origin`: whose it is; None for the worker's own.
    """

    event_id: str
    trip_id: str
    bike_id: str
    origin: Origin | None = None


def ended_trip(event: Event, origin: Origin | None) -> EndedTrip:
    """Read the event; raises Invalid."""
    envelope = load_event(event.payload)
    trip = load(_ended_trip, envelope["data"], "The event's data are invalid.")
    return EndedTrip(envelope["id"], trip["id"], trip["bike_id"], origin)


class EndedTripSchema(StrictSchema):
    """Of a `trip_ended` or `trip_cancelled` event just what frees the bike."""

    class Meta:
        unknown = "exclude"

    id = UUIDText(required=True)
    bike_id = UUIDText(required=True)


_ended_trip = EndedTripSchema()


def viewer_of(loaded: Mapping[str, Any]) -> Viewer:
    """Who looks, out of loaded arguments; nobody named is a trusted caller."""
    return Viewer(**(loaded.get("viewer") or {}))


class BikeSchema(StrictSchema):
    """A bike as the contract shows it."""

    id = UUIDText()
    name = Text(allow_none=True)
    status = fields.String()
    location = GeoPoint(allow_none=True)
    located_at = UTCDateTime(allow_none=True)
    battery_percent = Number(allow_none=True)
    vehicle_type_id = VehicleTypeId()
    created_at = UTCDateTime()
    updated_at = UTCDateTime()


_bike = BikeSchema()


def show(bike: Bike, viewer: Viewer) -> dict[str, Any]:
    """The bike as `viewer` may see it."""
    shown: dict[str, Any] = _bike.dump(bike)
    if not viewer.sees_location(bike.id, bike.status, bike.rider_id):
        shown["location"] = shown["located_at"] = None
    return shown


def event_data(bike: Bike) -> dict[str, Any]:
    """The bike as its events carry it, whole, with its revision."""
    return {**show(bike, Viewer()), "revision": bike.revision}


def show_check_out(bike: Bike, age_s: float) -> dict[str, Any]:
    """A check-out: who has which bike, for which trip, since when."""
    return {
        "bike_id": bike.id,
        "trip_id": bike.trip_id,
        "rider_id": bike.rider_id,
        "checked_out_at": None if bike.checked_out_at is None else format_time(bike.checked_out_at),
        "age_s": age_s,
    }
