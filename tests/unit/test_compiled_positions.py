"""The compiled reader takes a part of what the schema takes, with the same values."""

import json
import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from shared import compiled_positions, http_json
from shared.compiled_positions import Position
from shared.fields import NEGLIGIBLE
from shared.positions import FleetPositionSchema, PositionSchema

BIKE, OTHER = "0b6c1f2e-9d3a-4c57-8f10-a1b2c3d4e5f6", "1b6c1f2e-9d3a-4c57-8f10-a1b2c3d4e5f6"
TIME = "2026-05-01T12:00:00Z"
MAXIMUM = 10


def position(**more: Any) -> dict[str, Any]:
    place = {"type": "Point", "coordinates": [8.5, 47.4]}
    return {"bike_id": BIKE, "recorded_at": TIME, "location": place, **more}


def body(*positions: Any) -> bytes:
    return json.dumps({"positions": positions}).encode()


def values(found: Position) -> tuple[Any, ...]:
    return tuple(getattr(found, name) for name in Position.__struct_fields__ if name != "source")


def by_schema(data: bytes, bike_id: str | None = None) -> list[tuple[Any, ...]] | None:
    """What the careful way makes of a body; None when it refuses it."""
    schema = FleetPositionSchema(many=True) if bike_id is None else PositionSchema(many=True)
    try:
        parsed = http_json.parse(data)
        found = parsed.get("positions") if isinstance(parsed, dict) and len(parsed) == 1 else None
        if not isinstance(found, list) or not 1 <= len(found) <= MAXIMUM:
            return None
        return [values(Position.of(each, bike_id=bike_id)) for each in schema.load(found)]
    except (http_json.MalformedJSON, ValidationError):
        return None


def test_an_ordinary_body_is_read_with_all_its_values() -> None:
    full = position(bike_id=OTHER.upper(), battery_percent=80, speed_mps=5.5, accuracy_m=None)
    late = position(recorded_at="2026-05-01T12:00:00.25Z")
    found = compiled_positions.read(body(full, late), MAXIMUM)
    assert found is not None
    assert [values(each) for each in found] == [
        (OTHER, datetime(2026, 5, 1, 12, tzinfo=UTC), 8.5, 47.4, 80.0, 5.5, None),
        (BIKE, datetime(2026, 5, 1, 12, 0, 0, 250_000, tzinfo=UTC), 8.5, 47.4, None, None, None),
    ]
    assert [each.raw for each in found] == [full, late]


def test_positions_of_a_bike_known_from_elsewhere_are_its_own() -> None:
    without = {name: value for name, value in position(speed_mps=1).items() if name != "bike_id"}
    found = compiled_positions.read(body(without), MAXIMUM, OTHER)
    assert found is not None
    assert (found[0].bike_id, found[0].speed_mps) == (OTHER, 1.0)
    assert compiled_positions.read(body(position()), MAXIMUM, OTHER) is None
    assert compiled_positions.read(body(without), MAXIMUM) is None


GOOD = body(position(battery_percent=50), position(battery_percent=60))
SUSPICIOUS = [
    b"",
    b"[]",
    b"{}",
    b"\xef\xbb\xbf" + GOOD,
    GOOD + b" {}",
    body(),
    body(*[position()] * (MAXIMUM + 1)),
    b'{"positions": null}',
    GOOD[:-1] + b', "more": 1}',
    b'{"positions": [], ' + GOOD[1:],
    GOOD.replace(b'"battery_percent": 50', b'"battery_percent": 50, "battery_percent": 50'),
    GOOD.replace(b'"battery_percent": 50', b'"battery_percent": 50, "battery\\u005fpercent": 50'),
    GOOD.replace(b'"type": "Point"', b'"type": "Point", "type": "Point"', 1),
    GOOD.replace(b'"bike_id"', b'"bike_id": "' + OTHER.encode() + b'", "bike_id"', 1),
    GOOD.replace(b"50", b"NaN"),
    GOOD.replace(b"50", b"1e400"),
    GOOD.replace(b"50", b"9" * 400),
    GOOD.replace(b"50", b"true"),
    GOOD.replace(b"50", b'"50"'),
    GOOD.replace(b"50", b"100.5"),
    GOOD.replace(b"50", b"-1"),
    GOOD.replace(b"8.5", b"180.1"),
    GOOD.replace(b"47.4", b"-90.1"),
    GOOD.replace(b"47.4", b"47.4, 3"),
    GOOD.replace(b'"Point"', b'"point"'),
    GOOD.replace(TIME.encode(), b"2026-02-30T12:00:00Z"),
    GOOD.replace(TIME.encode(), b"2026-05-01T24:00:00Z"),
    GOOD.replace(TIME.encode(), b"2026-05-01T12:00:60Z"),
    GOOD.replace(TIME.encode(), b"2026-05-01T12:00:00"),
    GOOD.replace(TIME.encode(), b"20260501T120000Z"),
    GOOD.replace(TIME.encode(), "2026-05-01T12:00:0٣Z".encode()),
    GOOD.replace(BIKE.encode(), BIKE.replace("-", "").encode()),
    GOOD.replace(BIKE.encode(), b"\xff" * 36),
    b'{"positions":' + b"[" * 100_000,
]


@pytest.mark.parametrize("data", SUSPICIOUS)
def test_what_the_schema_refuses_is_not_taken(data: bytes) -> None:
    assert by_schema(data) is None
    assert compiled_positions.read(data, MAXIMUM) is None


@pytest.mark.parametrize("coordinates", [[5e-324, 47.4], [8.5, -1e-101]])
def test_an_angle_next_to_nothing_is_left_to_the_schema(coordinates: list[float]) -> None:
    data = body(position(location={"type": "Point", "coordinates": coordinates}))
    assert compiled_positions.read(data, MAXIMUM) is None
    [(_, _, longitude, latitude, *_)] = by_schema(data) or []
    assert 0.0 in (longitude, latitude)


PIECES = [
    *['"battery_percent": 50', '"battery_percent": null', '"speed_mps": 1', '"type": "Point"', '"type"', '"positions"'],
    *["8.5", "47", "-0.0", "1E1", "01", "1.", "NaN", "null", "x", "é", "\x00", "\\u0041", " ", "\n", *",:{}[]"],
    *["5e-324", TIME, "2026-05-01T12:00:00.123456789Z", "2026-05-01t12:00:00+02:00", BIKE, BIKE.upper()],
]
pieces = st.sampled_from(PIECES)


@settings(max_examples=300)
@given(st.randoms(use_true_random=False), st.lists(st.tuples(pieces, pieces), min_size=1, max_size=3))
def test_a_body_that_was_tampered_with_is_read_as_the_schema_reads_it_or_left_to_it(
    chance: random.Random, changes: list[tuple[str, str]]
) -> None:
    text = body(position(battery_percent=50, accuracy_m=3), position(bike_id=OTHER, speed_mps=1)).decode()
    for old, new in changes:
        parts = text.split(old)
        at = chance.randrange(len(parts))
        text = old.join(parts[:at]) + (new if at else "") + old.join(parts[at:])
    found = compiled_positions.read(text.encode(), MAXIMUM)
    if found is not None:
        assert [values(each) for each in found] == by_schema(text.encode())


moments = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=2))])).filter(lambda m: m.year < 9999)
numbers = st.none() | st.floats(0, 100)


def degrees(most: float) -> st.SearchStrategy[float]:
    return st.floats(-most, most).filter(lambda each: each == 0 or abs(each) >= NEGLIGIBLE)


@given(st.lists(st.tuples(moments, degrees(180), degrees(90), numbers, numbers, numbers), min_size=1))
def test_what_is_written_is_read_again_the_same(rows: list[tuple[Any, ...]]) -> None:
    sent = [Position(BIKE, *row) for row in rows]
    found = compiled_positions.read(compiled_positions.write(sent), len(sent))
    assert found is not None
    assert [values(each) for each in found] == [values(each) for each in sent]
