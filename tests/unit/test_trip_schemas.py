from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.errors import Invalid
from shared.validation import StrictSchema, load
from trip_service.models import Trip
from trip_service.schemas import (
    CheckedOutBikeSchema,
    CheckOutSchema,
    EndSchema,
    ListSchema,
    StartSchema,
    event_data,
    route_feature,
    show,
)

ID, BIKE = "0b6c1f2e-9d3a-4c57-8f10-a1b2c3d4e5f6", "1b6c1f2e-9d3a-4c57-8f10-a1b2c3d4e5f6"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def refused(schema: StrictSchema, data: Any) -> set[str]:
    with pytest.raises(Invalid) as caught:
        load(schema, data)
    return set(caught.value.errors)


def active(**more: Any) -> Trip:
    known: dict[str, Any] = {
        "id": ID,
        "bike_id": BIKE,
        "rider_id": "anna",
        "status": "active",
        "started_at": NOON,
        "start_longitude": 8.5,
        "start_latitude": 47.4,
        "distance_m": 0.0,
        "revision": 1,
    }
    return Trip(**{**known, **more})


def ended() -> Trip:
    return active(
        status="ended",
        ended_at=NOON + timedelta(minutes=11),
        ended_by="rider",
        end_longitude=8.6,
        end_latitude=47.5,
        distance_m=2345.678,
        duration_s=660,
        fare_amount=Decimal("3.20"),
        fare_currency="EUR",
        revision=2,
    )


def test_an_active_trip_has_no_end_yet() -> None:
    assert show(active()) == {
        "id": ID,
        "bike_id": BIKE,
        "rider_id": "anna",
        "status": "active",
        "started_at": "2026-05-01T12:00:00Z",
        "ended_at": None,
        "ended_by": None,
        "start_location": {"type": "Point", "coordinates": [8.5, 47.4]},
        "end_location": None,
        "distance_m": 0.0,
        "duration_s": None,
        "fare": None,
    }


def test_an_ended_trip_is_shown_with_its_end_and_fare() -> None:
    assert show(ended()) == {
        **show(active()),
        "status": "ended",
        "ended_at": "2026-05-01T12:11:00Z",
        "ended_by": "rider",
        "end_location": {"type": "Point", "coordinates": [8.6, 47.5]},
        "distance_m": 2345.68,
        "duration_s": 660,
        "fare": {"amount": "3.20", "currency": "EUR"},
    }


def test_a_place_that_nobody_knew_is_null() -> None:
    assert show(active(start_longitude=None, start_latitude=None))["start_location"] is None


def test_an_event_tells_all_of_a_trip_and_its_revision() -> None:
    assert event_data(ended()) == {**show(ended()), "revision": 2}


@pytest.mark.parametrize("count", [2, 3])
def test_a_route_is_a_line_with_a_time_for_each_place(count: int) -> None:
    points = [(NOON + timedelta(seconds=step), 8.5 + step, 47.4) for step in range(count)]
    assert route_feature(active(), points) == {
        "type": "Feature",
        "geometry": {"type": "LineString", "coordinates": [[8.5, 47.4], [9.5, 47.4], [10.5, 47.4]][:count]},
        "properties": {
            "trip_id": ID,
            "bike_id": BIKE,
            "recorded_at": ["2026-05-01T12:00:00Z", "2026-05-01T12:00:01Z", "2026-05-01T12:00:02Z"][:count],
        },
    }


def test_a_route_of_one_position_has_it_twice() -> None:
    feature = route_feature(active(), [(NOON, 8.5, 47.4)])
    assert feature["geometry"] == {"type": "LineString", "coordinates": [[8.5, 47.4], [8.5, 47.4]]}
    assert feature["properties"]["recorded_at"] == ["2026-05-01T12:00:00Z"] * 2


def test_a_route_without_positions_has_no_geometry() -> None:
    feature = route_feature(active(), [])
    assert (feature["geometry"], feature["properties"]["recorded_at"]) == (None, [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bike_id", "otto"),
        ("bike_id", None),
        ("rider_id", ""),
        ("rider_id", "a" * 256),
        ("rider_id", "a\x00"),
        ("rider_id", 5),
        ("trip_id", "{" + ID + "}"),
        ("idempotency_key", ""),
        ("idempotency_key", "a" * 256),
        ("started_at", "2026-05-01T12:00:00Z"),
    ],
)
def test_a_start_that_cannot_be_is_refused_by_field(name: str, value: Any) -> None:
    assert refused(StartSchema(), {"bike_id": BIKE, "rider_id": "anna", name: value}) == {name}


def test_a_start_needs_a_bike_and_a_rider() -> None:
    assert refused(StartSchema(), {}) == {"bike_id", "rider_id"}
    started = {"bike_id": BIKE, "rider_id": "auth0|\n" + "ä" * 248, "trip_id": ID, "idempotency_key": "k"}
    assert load(StartSchema(), started) == started


@pytest.mark.parametrize("location", [[8.5, 47.4], {"type": "Point", "coordinates": [8.5]}, "here"])
def test_an_end_is_at_a_point_or_nowhere(location: Any) -> None:
    assert load(EndSchema(), {"trip_id": ID}) == {"trip_id": ID}
    assert {path.split(".")[0] for path in refused(EndSchema(), {"trip_id": ID, "location": location})} == {"location"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "void"),
        ("status", "Active"),
        ("bike_id", "otto"),
        ("started_after", "2026-05-01"),
        ("started_before", 1_777_636_800),
        ("limit", 0),
        ("limit", 501),
        ("limit", True),
        ("limit", "50"),
        ("offset", 1),
    ],
)
def test_a_list_that_cannot_be_is_refused(name: str, value: Any) -> None:
    assert refused(ListSchema(), {name: value}) == {name}


@pytest.mark.parametrize("status", ["active", "ended", "cancelled"])
def test_trips_are_listed_by_a_status_of_the_contract(status: str) -> None:
    assert load(ListSchema(), {"status": status}) == {"status": status, "limit": 50}


def test_of_a_bike_and_a_check_out_only_what_a_trip_needs_is_read() -> None:
    assert load(CheckedOutBikeSchema(), {"id": BIKE, "location": None, "new": 1}) == {"location": None}
    assert refused(CheckedOutBikeSchema(), {"id": BIKE}) == {"location"}
    check_out = {"bike_id": BIKE, "trip_id": ID, "rider_id": "anna", "age_s": 3}
    assert load(CheckOutSchema(), {**check_out, "checked_out_at": None}) == check_out
    assert refused(CheckOutSchema(), {**check_out, "age_s": None}) == {"age_s"}
