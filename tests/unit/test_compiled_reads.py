"""What compiled code takes of the arguments is a part of what the schemas take; what it shows is what they show."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from bike_service import compiled_reads, schemas
from bike_service.domain import Status, Viewer
from bike_service.models import Bike
from bike_service.schemas import BikeIdSchema, NearSchema
from shared.validation import load_arguments

BIKE = "0b6c1f2e-9d3a-4c57-8f10-a1b2c3d4e5f6"
RITA = {"role": "rider", "sub": "rita"}
odd: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, "", "x", 0, -1, 5e-324, 1e-150, math.nan, math.inf, 10**400, [], {}, "\ud800", "a\0"]
)
roles = st.sampled_from(["anonymous", "rider", "vehicle", "operator", "king", None])
viewers = st.fixed_dictionaries({}, optional={"role": roles | odd, "sub": st.text(max_size=260) | odd, "more": odd})
ids = st.uuids().map(str) | st.uuids().map(lambda each: str(each).upper()) | st.text(max_size=40) | odd
gets = st.fixed_dictionaries({}, optional={"bike_id": ids, "viewer": viewers | odd, "more": odd})
nears = st.fixed_dictionaries(
    {"lat": st.floats(-100, 100) | st.integers(-91, 91) | odd, "lon": st.floats(-190, 190) | odd},
    optional={
        "radius": st.floats(-1, 60_000) | st.integers(-1, 50_001) | odd,
        "status": st.sampled_from([*Status, "lost"]).map(str) | odd,
        "limit": st.integers(-1, 501) | st.floats(0, 10) | odd,
        "viewer": viewers | odd,
        "more": odd,
    },
)


def by_schema(schema: Any, call: dict[str, Any]) -> Any:
    """What the schema makes of a call; None when it refuses it."""
    try:
        return dict(schema.load({name: value for name, value in call.items() if value is not None}))
    except ValidationError:
        return None


def text(loaded: dict[str, Any]) -> str:
    # Equal numbers of unlike types would pass for the same.
    return json.dumps(loaded, sort_keys=True)


def agree(read: Any, schema: Any, call: dict[str, Any]) -> None:
    found = read(call)
    if found is not None:
        assert text(found) == text(by_schema(schema, call))


@settings(max_examples=300)
@given(gets)
def test_arguments_of_a_read_are_taken_as_the_schema_takes_them(call: dict[str, Any]) -> None:
    agree(compiled_reads.read_get, BikeIdSchema(), call)


@settings(max_examples=300)
@given(nears)
def test_a_place_is_taken_as_the_schema_takes_it(call: dict[str, Any]) -> None:
    agree(compiled_reads.read_near, NearSchema(), call)


@pytest.mark.parametrize("viewer", [RITA, {"role": "anonymous", "sub": None}, {"role": "operator"}, {}])
def test_ordinary_arguments_are_taken(viewer: dict[str, Any]) -> None:
    call = {"bike_id": BIKE, "viewer": viewer}
    assert compiled_reads.read_get(call) == by_schema(BikeIdSchema(), call) == call
    place = {"lat": 47, "lon": 8.5, "radius": 500.0, "limit": 20, "viewer": viewer}
    assert compiled_reads.read_near(place) == by_schema(NearSchema(), place)
    assert compiled_reads.read_near({"lat": 1, "lon": 2}) == load_arguments(NearSchema(), lat=1, lon=2)


times = st.datetimes(datetime(1900, 1, 1), datetime(9000, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))
elsewhere = times.map(lambda moment: moment.astimezone(timezone(timedelta(hours=5, minutes=30))))
angles = st.floats(-180, 180)


@settings(max_examples=300)
@given(
    st.tuples(
        st.just(BIKE),
        st.none() | st.text(),
        st.sampled_from([*map(str, Status)]),
        st.none() | angles,
        st.none() | angles,
        st.none() | times | elsewhere,
        st.none() | st.floats(0, 100),
        times | elsewhere,
        times,
        st.sampled_from([None, "rita", "ron"]),
        st.sampled_from([None, "bike", "cargo"]),
    ),
    st.builds(Viewer, roles, st.sampled_from([None, "rita", BIKE])),
)
def test_a_row_is_shown_as_the_bike_is(row: tuple[Any, ...], viewer: Viewer) -> None:
    bike_id, name, status, longitude, latitude, located_at, battery, created_at, updated_at, rider_id, kind = row
    bike = Bike(
        id=bike_id,
        name=name,
        status=status,
        longitude=longitude,
        latitude=latitude,
        located_at=located_at,
        battery_percent=battery,
        created_at=created_at,
        updated_at=updated_at,
        rider_id=rider_id,
        vehicle_type_id=kind,
    )
    assert repr(compiled_reads.show(row, viewer)) == repr(schemas.show(bike, viewer))
