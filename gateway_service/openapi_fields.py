"""How this system's own marshmallow fields stand in JSON Schema (draft 2020-12)."""

import math
from typing import Any

from marshmallow import fields

from gateway_service.query_fields import BoundingBox, DecimalNumber, WholeNumber
from shared.fields import GeoPoint, Number, Subject, Text, UTCDateTime, UUIDText
from shared.long_list import LongList
from shared.vehicle_types import VehicleTypeId, known_types

POINT: dict[str, Any] = {
    "type": "object",
    "description": "A GeoJSON Point (RFC 7946).",
    "required": ["type", "coordinates"],
    "additionalProperties": False,
    "properties": {
        "type": {"const": "Point"},
        "coordinates": {
            "description": "[longitude, latitude] in degrees.",
            "type": "array",
            "prefixItems": [
                {"type": "number", "minimum": -180, "maximum": 180},
                {"type": "number", "minimum": -90, "maximum": 90},
            ],
            "minItems": 2,
            "maxItems": 2,
        },
    },
    "example": {"type": "Point", "coordinates": [-0.1276, 51.5072]},
}
TIME = {"type": "string", "format": "date-time", "example": "2026-05-01T12:00:00Z"}
# As `Text` and `Subject` judge: no control characters and not only blanks; nothing that cannot be stored.
TEXT_PATTERN = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
SUBJECT_PATTERN = r"^[^\x00]+$"
DECIMAL = r"-?[0-9]{1,20}(\.[0-9]{1,30})?([eE][+\-]?[0-9]{1,3})?"
BOX = {
    "type": "string",
    "pattern": f"^{DECIMAL}(,{DECIMAL}){{3}}$",
    "description": "minlon,minlat,maxlon,maxlat; minlon above maxlon spans the 180° meridian.",
    "example": "-0.2,51.4,0.1,51.6",
}


def describe(self: Any, field: fields.Field[Any], ret: dict[str, Any]) -> dict[str, Any]:
    """An apispec attribute function: the JSON Schema members of a field of ours, else nothing."""
    if isinstance(field, GeoPoint):
        point = {"$ref": "#/components/schemas/Point"}
        return {"anyOf": [point, {"type": "null"}]} if field.allow_none else point
    schema = _schema_of(field)
    if schema and field.allow_none and "type" in schema:
        schema = {**schema, "type": [schema["type"], "null"]}
    return schema


def _schema_of(field: fields.Field[Any]) -> dict[str, Any]:
    match field:
        case UUIDText():
            return {"type": "string", "format": "uuid"}
        case VehicleTypeId():
            return {"type": "string", "enum": list(known_types())}
        case UTCDateTime():
            return dict(TIME)
        case Subject():
            return {"type": "string", "minLength": 1, "maxLength": 255, "pattern": SUBJECT_PATTERN}
        case Text():
            return {"type": "string", "minLength": 1, "maxLength": field.maximum, "pattern": TEXT_PATTERN}
        case BoundingBox():
            return dict(BOX)
        case WholeNumber():
            return {"type": "integer", "minimum": field.minimum, "maximum": field.maximum}
        case DecimalNumber():
            return {"type": "number", "minimum": field.minimum, "maximum": field.maximum}
        case Number():
            bounds = {"minimum": field.minimum, "maximum": field.maximum}
            return {"type": "number", **{name: bound for name, bound in bounds.items() if math.isfinite(bound)}}
        case LongList():
            return {"minItems": 1, "maxItems": field.maximum}
    return {}
