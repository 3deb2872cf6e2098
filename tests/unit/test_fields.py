import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError, fields

from shared.fields import (
    GeoPoint,
    Money,
    Number,
    Subject,
    Text,
    UTCDateTime,
    UUIDText,
    canonical_uuid,
    is_subject,
)

ID = "0b6c1f2e-9d3a-4c57-8f10-a1b2c3d4e5f6"
HUGE = 10**5000
huge = pytest.param(HUGE, id="5000 digits")
NO_STRINGS: list[Any] = [None, True, 0, 1.5, [], {}, b"x", math.nan]


def messages(field: fields.Field[Any], value: Any) -> Any:
    with pytest.raises(ValidationError) as refused:
        field.deserialize(value)
    return refused.value.messages


@pytest.mark.parametrize("value", [*NO_STRINGS, "yesterday"])
def test_a_time_field_takes_times_only(value: Any) -> None:
    assert messages(UTCDateTime(), value)


@pytest.mark.parametrize("text", [ID, ID.upper(), "00000000-0000-0000-0000-000000000000"])
def test_a_uuid_comes_out_in_its_canonical_form(text: str) -> None:
    assert canonical_uuid(text) == UUIDText().deserialize(text) == text.lower()


@pytest.mark.parametrize(
    "value",
    [
        *NO_STRINGS,
        "",
        ID.replace("-", ""),
        "{" + ID + "}",
        "urn:uuid:" + ID,
        "urn:uuid:" + ID[9:],
        "{" + ID[1:-1] + "}",
        ID[:-1],
        ID + "0",
        ID[:-1] + "g",
        ID[:-1] + "１",  # noqa: RUF001
        ID[:-1] + "\n",
        ID[:-2] + "_1",
        ID[:-1] + "\x00",
        ID[:-1] + "\ud800",
        ID.replace("-", "_"),
        "0b6c-1f2e9d3a-4c57-8f10-a1b2c3d4e5f6",
    ],
)
def test_what_is_not_a_uuid_in_36_characters_is_refused(value: Any) -> None:
    assert canonical_uuid(value) is None
    assert messages(UUIDText(), value)


@given(st.uuids())
def test_every_uuid_is_its_own_canonical_form(identifier: Any) -> None:
    assert canonical_uuid(str(identifier).upper()) == str(identifier)


@pytest.mark.parametrize("value", [0, 100, 0.5, -0.0, 1e-300])
def test_a_number_within_the_limits_is_taken(value: float) -> None:
    number = Number(minimum=0, maximum=100).deserialize(value)
    assert number == value
    assert isinstance(number, float)


@pytest.mark.parametrize("value", [None, True, False, "5", "", [], {}, [5], math.nan, math.inf, 1e400, -math.inf, huge])
def test_what_is_no_finite_number_is_refused(value: Any) -> None:
    assert messages(Number(), value) == (["Field may not be null."] if value is None else ["Not a number."])


@pytest.mark.parametrize("value", [-0.001, 100.001, 10**300])
def test_a_number_outside_the_limits_is_refused(value: float) -> None:
    assert messages(Number(minimum=0, maximum=100), value) == ["Must be between 0 and 100."]


def test_a_limit_on_one_side_is_named_alone() -> None:
    assert messages(Number(minimum=0), -1) == ["Must be at least 0."]
    assert Number(minimum=0).deserialize(10**300) == 1e300


@pytest.mark.parametrize("value", ["x", "a" * 255, " Grüße 🚲 ", "'; DROP TABLE bikes; --", "\u202e"])
def test_text_is_kept_as_it_came(value: str) -> None:
    assert Text().deserialize(value) == value


@pytest.mark.parametrize(
    "value", [*NO_STRINGS, "", " ", "\u3000", "a" * 256, "a\x00b", "a\nb", "a\x7f", "a\x85", "a\ud800", "\udc00"]
)
def test_text_that_is_empty_too_long_or_not_storable_is_refused(value: Any) -> None:
    assert messages(Text(), value)


@pytest.mark.parametrize("value", ["x", " ", "a\nb", "ä" * 255, "auth0|1234"])
def test_a_subject_is_any_text_of_1_to_255_characters(value: str) -> None:
    assert is_subject(value)
    assert Subject().deserialize(value) == value


@pytest.mark.parametrize("value", [*NO_STRINGS, "", "a" * 256, "a\x00", "\ud800"])
def test_a_subject_that_cannot_be_stored_is_refused(value: Any) -> None:
    assert not is_subject(value)
    assert messages(Subject(), value)


@pytest.mark.parametrize("currency", ["EUR", "CHF"])
@pytest.mark.parametrize("amount", ["3.20", "0.00", "1000000.00"])
def test_money_is_a_decimal_string(amount: str, currency: str) -> None:
    shown = Money.of(Decimal(amount), currency)
    assert json.loads(json.dumps(shown)) == {"amount": amount, "currency": currency}


def point(*coordinates: Any, **members: Any) -> dict[str, Any]:
    return {"type": "Point", "coordinates": list(coordinates), **members}


@pytest.mark.parametrize("place", [(8.5, 47.4), (180, 90), (-180, -90), (0, 0), (-0.0, 0.5)])
def test_a_point_is_longitude_then_latitude(place: tuple[float, float]) -> None:
    loaded = GeoPoint().deserialize(point(*place))
    assert loaded == place
    assert all(type(part) is float for part in loaded)
    assert GeoPoint()._serialize(loaded, None, None) == point(*place)


@pytest.mark.parametrize(
    ("coordinates", "message"),
    [
        ([47.4], "Must be [longitude, latitude]."),
        ([8.5, 47.4, 408.0], "Must be [longitude, latitude]."),
        ([], "Must be [longitude, latitude]."),
        ("8.5,47.4", "Must be [longitude, latitude]."),
        (None, "Must be [longitude, latitude]."),
        ({"0": 1, "1": 2}, "Must be [longitude, latitude]."),
        (["8.5", "47.4"], "Must be two numbers."),
        ([True, False], "Must be two numbers."),
        ([8.5, None], "Must be two numbers."),
        ([[8.5, 47.4], [8.5, 47.4]], "Must be two numbers."),
        ([180.0000001, 0], "Longitude must be between -180 and 180."),
        ([-181, 0], "Longitude must be between -180 and 180."),
        pytest.param([HUGE, 0], "Longitude must be between -180 and 180.", id="5000 digits"),
        ([math.nan, 0], "Longitude must be between -180 and 180."),
        ([math.inf, 0], "Longitude must be between -180 and 180."),
        ([47.4, 90.5], "Latitude must be between -90 and 90."),
        pytest.param([0, -HUGE], "Latitude must be between -90 and 90.", id="minus 5000 digits"),
        ([0, math.nan], "Latitude must be between -90 and 90."),
        ([0, 1e400], "Latitude must be between -90 and 90."),
    ],
)
def test_coordinates_that_are_no_place_are_refused(coordinates: Any, message: str) -> None:
    assert messages(GeoPoint(), {"type": "Point", "coordinates": coordinates}) == {"coordinates": [message]}


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"type": "point", "coordinates": [8.5, 47.4]}, {"type"}),
        ({"type": ["Point"], "coordinates": [8.5, 47.4]}, {"type"}),
        ({"coordinates": [8.5, 47.4]}, {"type"}),
        ({"type": "Point"}, {"coordinates"}),
        ({}, {"type", "coordinates"}),
        (point(8.5, 47.4, bbox=[0, 0, 1, 1]), {"bbox"}),
        ({"type": "LineString", "coordinates": [[0, 0], [1, 1]], "crs": 1}, {"type", "coordinates", "crs"}),
    ],
)
def test_a_point_names_each_member_that_is_wrong(value: dict[str, Any], where: set[str]) -> None:
    assert set(messages(GeoPoint(), value)) == where


@pytest.mark.parametrize("value", [[8.5, 47.4], "POINT(8.5 47.4)", 5, True])
def test_what_is_no_object_is_no_point(value: Any) -> None:
    assert messages(GeoPoint(), value)[0].startswith('Not a GeoJSON Point, such as {"type"')


def test_absent_values_are_written_as_null() -> None:
    for field in (UTCDateTime(), UUIDText(), Number(), Text(), GeoPoint()):
        assert field._serialize(None, None, None) is None
