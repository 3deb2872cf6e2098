import math
from datetime import UTC, datetime
from typing import Any

import pytest

from bike_service.domain import Viewer
from bike_service.models import Bike
from bike_service.schemas import (
    AddManySchema,
    AddSchema,
    ChangeSchema,
    CheckOutsSchema,
    EndedTripSchema,
    ListSchema,
    NearSchema,
    event_data,
    show,
    show_check_out,
    viewer_of,
)
from bike_service.settings import nameko_config
from shared.config import ConfigurationError
from shared.errors import Invalid
from shared.validation import StrictSchema, load, load_arguments

ID, TRIP = "0b6c1f2e-9d3a-4c57-8f10-a1b2c3d4e5f6", "1b6c1f2e-9d3a-4c57-8f10-a1b2c3d4e5f6"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
PLACE = {"type": "Point", "coordinates": [8.5, 47.4]}
ANONYMOUS = Viewer("anonymous")


def refused(schema: StrictSchema, data: Any) -> set[str]:
    with pytest.raises(Invalid) as caught:
        load(schema, data)
    return set(caught.value.errors)


def bike(**more: Any) -> Bike:
    known: dict[str, Any] = {
        "id": ID,
        "name": "Otto",
        "status": "available",
        "longitude": 8.5,
        "latitude": 47.4,
        "located_at": NOON,
        "battery_percent": 80.0,
        "revision": 3,
        "created_at": NOON,
        "updated_at": NOON,
    }
    return Bike(**{**known, **more})


def in_use(**more: Any) -> Bike:
    return bike(status="in_use", trip_id=TRIP, rider_id="anna", checked_out_at=NOON, **more)


def test_a_new_bike_may_have_everything_or_nothing() -> None:
    assert load(AddSchema(), {"bike": {}}) == {"bike": {}}
    given = {"id": ID.upper(), "name": "Otto", "location": PLACE, "battery_percent": 80}
    assert load(AddSchema(), {"bike": given, "subject": "olga", "idempotency_key": "k"}) == {
        "bike": {"bike_id": ID, "name": "Otto", "location": (8.5, 47.4), "battery_percent": 80.0},
        "subject": "olga",
        "idempotency_key": "k",
    }


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"id": "otto"}, "bike.id"),
        ({"bike_id": ID}, "bike.bike_id"),
        ({"name": ""}, "bike.name"),
        ({"name": "a" * 101}, "bike.name"),
        ({"name": "a\x00"}, "bike.name"),
        ({"name": "\ud800"}, "bike.name"),
        ({"name": 5}, "bike.name"),
        ({"location": [8.5, 47.4]}, "bike.location"),
        ({"location": {**PLACE, "coordinates": [8.5, True]}}, "bike.location.coordinates"),
        ({"battery_percent": 101}, "bike.battery_percent"),
        ({"battery_percent": True}, "bike.battery_percent"),
        ({"battery_percent": math.inf}, "bike.battery_percent"),
        ({"status": "retired"}, "bike.status"),
        ("otto", "bike"),
        ([], "bike"),
    ],
)
def test_a_new_bike_that_cannot_be_is_refused_by_field(given: Any, path: str) -> None:
    assert refused(AddSchema(), {"bike": given}) == {path}


@pytest.mark.parametrize(
    ("bikes", "paths"),
    [
        ([], {"bikes"}),
        ([{}] * 1001, {"bikes"}),
        ({}, {"bikes"}),
        ([{}, {"name": 1}, {}, {"id": 2, "x": 3}], {"bikes.1.name", "bikes.3.id", "bikes.3.x"}),
    ],
)
def test_a_batch_names_each_bad_row(bikes: Any, paths: set[str]) -> None:
    assert refused(AddManySchema(), {"bikes": bikes}) == paths


def test_a_batch_takes_a_thousand() -> None:
    assert len(load(AddManySchema(), {"bikes": [{}] * 1000})["bikes"]) == 1000


@pytest.mark.parametrize("bbox", [[5, 45, 10, 48], [170, -10, -170, 10], [-180, -90, 180, 90], [8, 47, 8, 47]])
def test_a_box_may_cross_the_180th_meridian(bbox: list[float]) -> None:
    assert load(ListSchema(), {"bbox": bbox}) == {"bbox": bbox, "limit": 50}


@pytest.mark.parametrize(
    ("bbox", "path"),
    [
        ([], "bbox"),
        ([5, 45, 10], "bbox"),
        ([5, 45, 10, 48, 1], "bbox"),
        ([5, 48, 10, 45], "bbox"),
        ([-181, 45, 10, 48], "bbox"),
        ([5, 45, 180.5, 48], "bbox"),
        ([5, -91, 10, 48], "bbox"),
        ([5, 45, 10, 90.5], "bbox"),
        ("5,45,10,48", "bbox"),
        ([5, 45, 10, "48"], "bbox.3"),
        ([5, 45, True, 48], "bbox.2"),
        ([math.nan, 45, 10, 48], "bbox.0"),
    ],
)
def test_what_is_no_box_is_refused(bbox: Any, path: str) -> None:
    assert refused(ListSchema(), {"bbox": bbox}) == {path}


@pytest.mark.parametrize("limit", [0, 501, -1, "50", 5.0, 5.5, True, math.nan])
@pytest.mark.parametrize("schema", [ListSchema(), CheckOutsSchema()])
def test_a_limit_is_a_whole_number_from_1_to_500(schema: StrictSchema, limit: Any) -> None:
    assert refused(schema, {"limit": limit}) == {"limit"}


def test_the_nearest_bikes_are_sought_within_a_kilometre_among_those_to_rent() -> None:
    assert load(NearSchema(), {"lat": -90, "lon": 180}) == {
        "lat": -90.0,
        "lon": 180.0,
        "radius": 1000.0,
        "status": "available",
        "limit": 50,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lat", 90.1),
        ("lat", None),
        ("lon", -180.1),
        ("lon", "8.5"),
        ("radius", 50_000.1),
        ("radius", -1),
        ("radius", math.nan),
        ("status", "lost"),
        ("status", "AVAILABLE"),
        ("limit", 501),
        ("cursor", "x"),
    ],
)
def test_a_search_that_cannot_be_is_refused(name: str, value: Any) -> None:
    assert refused(NearSchema(), {"lat": 47.4, "lon": 8.5, name: value}) == {name}


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ({"status": "in_use"}, "changes.status"),
        ({"status": "retired"}, "changes.status"),
        ({"status": None}, "changes.status"),
        ({"name": None}, "changes.name"),
        ({"location": PLACE}, "changes.location"),
        ({"rider_id": "anna"}, "changes.rider_id"),
    ],
)
def test_an_operator_changes_name_and_availability_only(wanted: Any, path: str) -> None:
    assert refused(ChangeSchema(), {"bike_id": ID, "changes": wanted}) == {path}
    assert load(ChangeSchema(), {"bike_id": ID, "changes": {"name": "A", "status": "out_of_service"}})


def test_nobody_named_is_a_trusted_caller() -> None:
    assert viewer_of(dict(load_arguments(ListSchema(), viewer=None))) == Viewer()
    for viewer in ({"role": "anonymous", "sub": None}, {"role": "rider", "sub": "anna"}):
        assert viewer_of(load(ListSchema(), {"viewer": viewer})) == Viewer(viewer["role"], viewer["sub"])


@pytest.mark.parametrize(
    ("name", "value"), [("role", "admin"), ("role", True), ("sub", ""), ("sub", "a\x00"), ("x", 1)]
)
def test_a_viewer_that_cannot_be_is_refused(name: str, value: Any) -> None:
    assert refused(ListSchema(), {"viewer": {"role": "rider", "sub": "anna", name: value}}) == {f"viewer.{name}"}


def test_the_event_of_a_trip_may_tell_more_than_what_frees_the_bike() -> None:
    assert load(EndedTripSchema(), {"id": TRIP, "bike_id": ID, "fare": None, "new": 1}) == {"id": TRIP, "bike_id": ID}
    assert refused(EndedTripSchema(), {"id": TRIP}) == {"bike_id"}


def test_a_bike_is_shown_as_in_the_contract() -> None:
    assert show(bike(), ANONYMOUS) == {
        "id": ID,
        "name": "Otto",
        "status": "available",
        "location": PLACE,
        "located_at": "2026-05-01T12:00:00Z",
        "battery_percent": 80.0,
        "vehicle_type_id": "bike",
        "created_at": "2026-05-01T12:00:00Z",
        "updated_at": "2026-05-01T12:00:00Z",
    }
    unheard_of = show(bike(longitude=None, latitude=None, located_at=None), Viewer())
    assert (unheard_of["location"], unheard_of["located_at"]) == (None, None)


@pytest.mark.parametrize("viewer", [ANONYMOUS, Viewer("rider", "bert"), Viewer("vehicle", TRIP)])
def test_where_a_rider_is_stays_hidden_and_nothing_else(viewer: Viewer) -> None:
    assert show(in_use(), viewer) == {**show(in_use(), Viewer()), "location": None, "located_at": None}
    assert show(in_use(), Viewer("rider", "anna"))["location"] == PLACE


def test_an_event_tells_all_of_a_bike_and_its_revision() -> None:
    assert event_data(in_use()) == {**show(in_use(), Viewer()), "revision": 3}


@pytest.mark.parametrize(("since", "shown"), [(NOON, "2026-05-01T12:00:00Z"), (None, None)])
def test_a_check_out_names_bike_trip_rider_and_age(since: datetime | None, shown: str | None) -> None:
    taken = bike(trip_id=TRIP, rider_id="anna", checked_out_at=since)
    expected = {"bike_id": ID, "trip_id": TRIP, "rider_id": "anna", "checked_out_at": shown, "age_s": 2.5}
    assert show_check_out(taken, 2.5) == expected


def test_the_service_needs_its_database() -> None:
    assert nameko_config({"BIKE_DATABASE_URL": "postgresql://127.0.0.1/bikes"}) == {
        "DB_URIS": {"bike_service:Base": "postgresql+psycopg2://127.0.0.1/bikes"}
    }
    with pytest.raises(ConfigurationError, match="BIKE_DATABASE_URL is not set"):
        nameko_config({})
