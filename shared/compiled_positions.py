"""Positions read and written by compiled code (msgspec): about 1 µs each where the schema takes 60.

What `read` takes is a part of what `shared.positions.FleetPositionSchema` takes, with the same values; what it does
not take is the schema's to judge, which has a message for every fault. So a mistake here can cost time, never a
position. tests/unit/test_compiled_positions.py holds the two against each other.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from shared.fields import NEGLIGIBLE

# A time with another offset or with more digits, and a UUID in another form, are left to the schema.
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z", re.ASCII).fullmatch
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch

Amount = Annotated[float, Meta(ge=0)] | None | UnsetType
Percent = Annotated[float, Meta(ge=0, le=100)] | None | UnsetType
ALWAYS = (b'"recorded_at"', b'"location"', b'"type"', b'"coordinates"')
SOMETIMES = ("battery_percent", "speed_mps", "accuracy_m")


class Position(Struct, frozen=True, gc=False):
    """One position: degrees, an aware UTC time, per cent, metres per second, metres.

    `source`: what it was read from, for a dead letter.
    """

    bike_id: str
    recorded_at: datetime
    longitude: float
    latitude: float
    battery_percent: float | None = None
    speed_mps: float | None = None
    accuracy_m: float | None = None
    source: Any = None

    @classmethod
    def of(cls, loaded: dict[str, Any], source: Any = None, bike_id: str | None = None) -> "Position":
        """From what a schema has loaded, of the bike that it names or else of `bike_id`."""
        longitude, latitude = loaded["location"]
        return cls(
            bike_id or loaded["bike_id"],
            loaded["recorded_at"],
            longitude,
            latitude,
            loaded.get("battery_percent"),
            loaded.get("speed_mps"),
            loaded.get("accuracy_m"),
            source,
        )

    @property
    def raw(self) -> Any:
        """The position as JSON data, as it came."""
        if isinstance(self.source, Struct):
            return msgspec.json.decode(_encoder.encode(self.source))
        return self.source


class _Point(Struct, forbid_unknown_fields=True, gc=False):
    type: Literal["Point"]
    coordinates: tuple[Annotated[float, Meta(ge=-180, le=180)], Annotated[float, Meta(ge=-90, le=90)]]


class _OfKnownBike(Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    recorded_at: str
    location: _Point
    battery_percent: Percent = UNSET
    speed_mps: Amount = UNSET
    accuracy_m: Amount = UNSET


class _OfAnyBike(_OfKnownBike, forbid_unknown_fields=True, gc=False, kw_only=True):
    bike_id: str


class _KnownBikeBody(Struct, forbid_unknown_fields=True):
    positions: list[_OfKnownBike]


class _AnyBikeBody(Struct, forbid_unknown_fields=True):
    positions: list[_OfAnyBike]


class _Published(Struct, omit_defaults=True, gc=False):
    bike_id: str
    recorded_at: str
    location: _Point
    battery_percent: float | None = None
    speed_mps: float | None = None
    accuracy_m: float | None = None


_of_known_bike = msgspec.json.Decoder(_KnownBikeBody)
_of_any_bike = msgspec.json.Decoder(_AnyBikeBody)
_encoder = msgspec.json.Encoder()


def read(body: bytes, maximum: int, bike_id: str | None = None) -> list[Position] | None:
    """The positions of `{"positions": [...]}`, each with its `bike_id`, or all without and of `bike_id`.

    None when there are none or more than `maximum`, or when any of it needs a closer look.
    """
    # Without escapes a name is spelled in one way only, so that counting it finds one that is given twice.
    if b"\\" in body:
        return None
    try:
        decoded = (_of_any_bike if bike_id is None else _of_known_bike).decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    found: list[Any] = decoded.positions
    if not 1 <= len(found) <= maximum or _repeats_a_name(body, found, bike_id is None):
        return None
    positions = []
    for each in found:
        of = each.bike_id.lower() if bike_id is None else bike_id
        if not (TIME(each.recorded_at) and UUID(of)):
            return None
        try:
            moment = datetime.fromisoformat(each.recorded_at)
        except ValueError:  # such as the 30th of February
            return None
        longitude, latitude = each.location.coordinates
        if 0 < abs(longitude) < NEGLIGIBLE or 0 < abs(latitude) < NEGLIGIBLE:
            return None
        # No zero is negative, as the schema has it.
        longitude, latitude = longitude + 0.0, latitude + 0.0
        battery, speed, accuracy = each.battery_percent, each.speed_mps, each.accuracy_m
        positions.append(
            Position(
                of,
                moment,
                longitude,
                latitude,
                None if battery is UNSET else battery,
                None if speed is UNSET else speed,
                None if accuracy is UNSET else accuracy,
                each,
            )
        )
    return positions


def _repeats_a_name(body: bytes, found: list[Any], with_bike: bool) -> bool:
    number = len(found)
    if body.count(b'"positions"') != 1 or any(body.count(name) != number for name in ALWAYS):
        return True
    if with_bike and body.count(b'"bike_id"') != number:
        return True
    for name in SOMETIMES:
        count = body.count(b'"%s"' % name.encode())
        if count and count != sum(getattr(each, name) is not UNSET for each in found):
            return True
    return False


def write(positions: Sequence[Position]) -> bytes:
    """`{"positions": [...]}` as it is published: each with its bike, in UTC, without members that are null."""
    return _encoder.encode({"positions": [_published(each) for each in positions]})


def _published(position: Position) -> _Published:
    source = position.source
    if isinstance(source, _OfKnownBike):
        # As it was read it is what it would be written as: in UTC, and a point of two numbers.
        recorded_at, location = source.recorded_at, source.location
        if not (position.longitude and position.latitude):
            location = _Point("Point", (position.longitude, position.latitude))
    else:
        recorded_at = position.recorded_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
        location = _Point("Point", (position.longitude, position.latitude))
    return _Published(
        position.bike_id,
        recorded_at,
        location,
        position.battery_percent,
        position.speed_mps,
        position.accuracy_m,
    )
