import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway_service.positions import BikeReportSchema
from shared.errors import Invalid
from shared.positions import (
    BIKE_KEY,
    BIKE_KEYS,
    FLEET_KEY,
    MAX_POSITIONS,
    MAX_POSITIONS_PER_BIKE,
    QUEUES,
    TOPOLOGY,
    FleetPositionSchema,
    PositionSchema,
    age_problem,
    bike_key,
)
from shared.validation import StrictSchema, load

ID = "0b6c1f2e-9d3a-4c57-8f10-a1b2c3d4e5f6"
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
GOOD: dict[str, Any] = {
    "recorded_at": "2026-05-01T12:00:00.000001Z",
    "location": {"type": "Point", "coordinates": [8.5, 47.4]},
    "battery_percent": 80,
    "speed_mps": 5.5,
    "accuracy_m": 3,
}


def refused(schema: StrictSchema, data: Any) -> set[str]:
    with pytest.raises(Invalid) as caught:
        load(schema, data)
    return set(caught.value.errors)


@pytest.mark.parametrize(
    ("recorded_at", "problem"),
    [
        (NOW, None),
        (NOW - timedelta(days=30), None),
        (NOW - timedelta(days=30) - TICK, "Older than 30 days."),
        (NOW + timedelta(minutes=5), None),
        (NOW + timedelta(minutes=5) + TICK, "More than 5 minutes in the future."),
        (datetime.min.replace(tzinfo=UTC), "Older than 30 days."),
        (datetime.max.replace(tzinfo=UTC), "More than 5 minutes in the future."),
    ],
)
def test_a_position_may_be_30_days_old_and_5_minutes_ahead(recorded_at: datetime, problem: str | None) -> None:
    assert age_problem(recorded_at, NOW) == problem


def test_a_position_comes_in_with_its_units() -> None:
    assert load(PositionSchema(), GOOD) == {
        "recorded_at": NOW + TICK,
        "location": (8.5, 47.4),
        "battery_percent": 80.0,
        "speed_mps": 5.5,
        "accuracy_m": 3.0,
    }


@pytest.mark.parametrize("optional", ["battery_percent", "speed_mps", "accuracy_m"])
def test_what_is_optional_may_be_absent_or_null(optional: str) -> None:
    assert optional not in load(PositionSchema(), {name: value for name, value in GOOD.items() if name != optional})
    assert load(PositionSchema(), {**GOOD, optional: None})[optional] is None


@pytest.mark.parametrize("name", ["recorded_at", "location"])
def test_time_and_place_must_be_there(name: str) -> None:
    assert refused(PositionSchema(), {**GOOD, name: None}) == {name}
    assert refused(PositionSchema(), {key: value for key, value in GOOD.items() if key != name}) == {name}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("battery_percent", -0.1),
        ("battery_percent", 100.1),
        ("battery_percent", True),
        ("battery_percent", "80"),
        ("battery_percent", math.nan),
        ("speed_mps", -1),
        ("speed_mps", 1e400),
        ("accuracy_m", -1),
        pytest.param("accuracy_m", 10**5000, id="accuracy_m-5000 digits"),
        ("recorded_at", 1_777_636_800),
        ("recorded_at", "2026-05-01T12:00:00"),
        ("location", [8.5, 47.4]),
        ("bike_id", ID),
        ("heading", 90),
        ("\x00", 1),
        ("\ud800", 1),
    ],
)
def test_what_is_out_of_range_or_unknown_is_refused_by_name(name: str, value: Any) -> None:
    assert refused(PositionSchema(), {**GOOD, name: value}) == {name}


def test_a_position_of_the_fleet_names_its_bike() -> None:
    assert load(FleetPositionSchema(), {**GOOD, "bike_id": ID.upper()})["bike_id"] == ID
    assert refused(FleetPositionSchema(), GOOD) == {"bike_id"}
    assert refused(FleetPositionSchema(), {**GOOD, "bike_id": "{" + ID + "}"}) == {"bike_id"}


@pytest.mark.parametrize("count", [0, MAX_POSITIONS_PER_BIKE + 1])
def test_a_bike_reports_1_to_1000_positions_at_a_time(count: int) -> None:
    assert refused(BikeReportSchema(), {"positions": [GOOD] * count}) == {"positions"}


def test_the_limits_are_those_of_the_contract() -> None:
    assert (MAX_POSITIONS_PER_BIKE, MAX_POSITIONS) == (1000, 10_000)


def test_each_consumer_has_a_durable_queue_and_one_for_its_dead_letters() -> None:
    assert [queue.name for queue in QUEUES] == ["bike_service.positions", "trip_service.positions"]
    assert {queue.name for queue in TOPOLOGY} == {queue.name + end for queue in QUEUES for end in ("", ".dead")}
    assert all(queue.durable and not queue.auto_delete for queue in TOPOLOGY)
    for queue in QUEUES:
        bound = {(binding.exchange.name, binding.exchange.type, binding.routing_key) for binding in queue.bindings}
        assert bound == {("positions", "topic", BIKE_KEYS), ("positions", "topic", FLEET_KEY)}


@pytest.mark.parametrize(
    ("key", "bike"),
    [
        (bike_key(ID), ID),
        (FLEET_KEY, None),
        ("bike.a.b.position", None),
        ("bike..position", None),
        ("bike.x.position.x", None),
    ],
)
def test_a_routing_key_names_one_bike_or_none(key: str, bike: str | None) -> None:
    match = BIKE_KEY.fullmatch(key)
    assert (match and match[1]) == bike
