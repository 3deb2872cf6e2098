"""The arguments of hot reads, and the bikes that they show, without marshmallow: 2 µs each where a schema takes 60.

What `read_get` and `read_near` take is a part of what `schemas.BikeIdSchema` and `schemas.NearSchema` take, with the
same values; what they do not take is the schema's to judge. `show` is `schemas.show` of a row.
tests/unit/test_compiled_reads.py holds each against the other.
"""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from bike_service.domain import Status, Viewer
from bike_service.read_rows import Row
from shared.fields import NEGLIGIBLE, format_time, is_subject
from shared.paging import DEFAULT_LIMIT, MAX_LIMIT
from shared.vehicle_types import default_type

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch


class _Viewer(Struct, forbid_unknown_fields=True):
    role: Literal["anonymous", "rider", "vehicle", "operator"] | UnsetType | None = UNSET
    sub: str | UnsetType | None = UNSET


class _Get(Struct, forbid_unknown_fields=True):
    bike_id: str
    viewer: _Viewer | UnsetType = UNSET


class _Near(Struct, forbid_unknown_fields=True):
    lat: Annotated[float, Meta(ge=-90, le=90)]
    lon: Annotated[float, Meta(ge=-180, le=180)]
    radius: Annotated[float, Meta(ge=0, le=50_000)] = 1000.0
    status: Literal["available", "reserved", "in_use", "out_of_service", "retired"] = "available"
    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
    viewer: _Viewer | UnsetType = UNSET


def read_get(call: dict[str, Any]) -> dict[str, Any] | None:
    """The arguments as the schema loads them; None when it has to."""
    try:
        read = msgspec.convert(call, _Get)
    except (msgspec.ValidationError, UnicodeEncodeError):
        return None
    return call if UUID(read.bike_id) and _is_plain(read.viewer) else None


def read_near(call: dict[str, Any]) -> dict[str, Any] | None:
    """The arguments as the schema loads them; None when it has to."""
    try:
        read = msgspec.convert(call, _Near)
    except (msgspec.ValidationError, UnicodeEncodeError):
        return None
    # An angle next to nothing is left to the schema.
    if not _is_plain(read.viewer) or 0 < abs(read.lat) < NEGLIGIBLE or 0 < abs(read.lon) < NEGLIGIBLE:
        return None
    # adding makes a zero of a negative zero, as the schema does
    lat, lon = read.lat + 0.0, read.lon + 0.0
    loaded = {"lat": lat, "lon": lon, "radius": read.radius, "status": read.status, "limit": read.limit}
    return loaded if read.viewer is UNSET else {**loaded, "viewer": call["viewer"]}


def _is_plain(viewer: _Viewer | UnsetType) -> bool:
    return isinstance(viewer, UnsetType) or viewer.sub is None or viewer.sub is UNSET or is_subject(viewer.sub)


def show(row: Row, viewer: Viewer) -> dict[str, Any]:
    """The bike as `viewer` may see it."""
    bike_id, name, status, longitude, latitude, located_at, battery_percent, created_at, updated_at, rider_id, kind = (
        row
    )
    is_seen = status != Status.IN_USE or viewer.sees_location(bike_id, status, rider_id)
    has_place = is_seen and longitude is not None and latitude is not None
    return {
        "id": bike_id,
        "name": name,
        "status": status,
        "location": {"type": "Point", "coordinates": [longitude, latitude]} if has_place else None,
        "located_at": None if not is_seen or located_at is None else format_time(located_at),
        "battery_percent": battery_percent,
        "vehicle_type_id": kind or default_type(),
        "created_at": format_time(created_at),
        "updated_at": format_time(updated_at),
    }
