import math
from typing import Any

import pytest
from marshmallow import ValidationError, fields, validate, validates_schema

from gateway_service.positions import FleetReportSchema
from shared.errors import Invalid
from shared.fields import GeoPoint, Number, UTCDateTime
from shared.validation import StrictSchema, flatten, load, load_arguments

ID = "0b6c1f2e-9d3a-4c57-8f10-a1b2c3d4e5f6"
GOOD = {"bike_id": ID, "recorded_at": "2026-05-01T12:00:00Z", "location": {"type": "Point", "coordinates": [8, 47]}}


class PeriodSchema(StrictSchema):
    first = Number(required=True)
    last = Number()
    place = GeoPoint()
    inner = fields.Nested(lambda: PeriodSchema())

    @validates_schema
    def in_order(self, data: dict[str, Any], **kwargs: Any) -> None:
        if "last" in data and data["last"] < data["first"]:
            raise ValidationError("The last is before the first.")


def errors(schema: StrictSchema, data: Any) -> dict[str, list[str]]:
    with pytest.raises(Invalid) as refused:
        load(schema, data)
    return refused.value.errors


@pytest.mark.parametrize(
    ("messages", "flat"),
    [
        ("wrong", {"body": ["wrong"]}),
        (["wrong", "bad"], {"body": ["wrong", "bad"]}),
        ({"name": ["wrong"]}, {"name": ["wrong"]}),
        ({"_schema": ["wrong"]}, {"body": ["wrong"]}),
        ({"location": {"coordinates": ["wrong"]}}, {"location.coordinates": ["wrong"]}),
        ({"positions": {3: {"recorded_at": ["wrong"]}}}, {"positions.3.recorded_at": ["wrong"]}),
        ({"positions": {3: {"_schema": ["wrong"]}}}, {"positions.3": ["wrong"]}),
        ({0: {"place": {"type": ["a"], "x": ["b"]}}}, {"0.place.type": ["a"], "0.place.x": ["b"]}),
        ({"positions": {"_schema": ["a"], 1: ["b"]}}, {"positions": ["a"], "positions.1": ["b"]}),
        ({"a": {"_schema": {"b": ["x"]}, "b": ["y"]}}, {"a.b": ["x", "y"]}),
    ],
)
def test_nested_messages_become_field_paths(messages: Any, flat: dict[str, list[str]]) -> None:
    assert flatten(messages) == flat


@pytest.mark.parametrize(
    ("data", "paths"),
    [
        ({}, {"first"}),
        ({"first": 1, "other": 2}, {"other"}),
        ({"first": 1, "First": 2}, {"First"}),
        ({"first": None}, {"first"}),
        ({"first": 2, "last": 1}, {"body"}),
        ({"first": 1, "inner": {"first": 2, "last": 1}}, {"inner"}),
        ({"first": 1, "inner": {"first": 2, "x": 1}}, {"inner.x"}),
        ({"first": 1, "inner": []}, {"inner"}),
        ({"first": 1, "place": {"type": "Point", "coordinates": [200, 0]}}, {"place.coordinates"}),
        ({"first": math.nan, "last": True}, {"first", "last"}),
        ([], {"body"}),
        (None, {"body"}),
        ("first", {"body"}),
        (5, {"body"}),
    ],
)
def test_every_error_names_its_field(data: Any, paths: set[str]) -> None:
    found = errors(PeriodSchema(), data)
    assert set(found) == paths
    assert all(isinstance(text, str) and text for texts in found.values() for text in texts)


@pytest.mark.parametrize(
    ("positions", "path"),
    [
        ([], "positions"),
        ([GOOD] * 3 + [{**GOOD, "recorded_at": "then"}], "positions.3.recorded_at"),
        ([GOOD, {**GOOD, "location": {"type": "Point", "coordinates": [0, 91]}}], "positions.1.location.coordinates"),
        ([GOOD, 7], "positions.1"),
        ([GOOD, {**GOOD, "lat": 1}], "positions.1.lat"),
        ("all of them", "positions"),
        (None, "positions"),
    ],
)
def test_a_list_names_the_row_that_is_wrong(positions: Any, path: str) -> None:
    assert set(errors(FleetReportSchema(), {"positions": positions})) == {path}


def test_what_fits_comes_out_as_inside_values() -> None:
    assert load(PeriodSchema(), {"first": 1, "place": {"type": "Point", "coordinates": [8, 47]}}) == {
        "first": 1.0,
        "place": (8.0, 47.0),
    }


class ArgumentsSchema(StrictSchema):
    since = UTCDateTime(required=True)
    limit = fields.Integer(strict=True, load_default=50, validate=validate.Range(1, 500))


def test_arguments_that_are_none_count_as_not_given() -> None:
    assert load_arguments(ArgumentsSchema(), since="2026-05-01T12:00:00Z", limit=None)["limit"] == 50
    with pytest.raises(Invalid, match="arguments are invalid") as refused:
        load_arguments(ArgumentsSchema(), since=None, limit=0)
    assert set(refused.value.errors) == {"since", "limit"}


@pytest.mark.parametrize("value", [0, "", False])
def test_other_empty_arguments_count(value: Any) -> None:
    with pytest.raises(Invalid) as refused:
        load_arguments(ArgumentsSchema(), since="2026-05-01T12:00:00Z", limit=value)
    assert set(refused.value.errors) == {"limit"}


def test_a_name_that_nobody_declared_is_told_of_in_short() -> None:
    assert list(flatten({"positions": {3: {"x" * 1_000_000: ["Unknown field."]}}})) == ["positions.3." + "x" * 100]
