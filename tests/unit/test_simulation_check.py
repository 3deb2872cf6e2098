from datetime import UTC, datetime, timedelta
from typing import Any

from replay.client import Caller
from simulation.check import missing, trip_differences
from simulation.trips import ACTIVE, CANCELLED, ENDED, UNKNOWN, Trip

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def trip(status: str = ENDED) -> Trip:
    return Trip("t", "b", Caller("rider", "ann"), NOON, 0.0, status)


def listed(**fields: Any) -> dict[str, dict[str, Any]]:
    return {"t": {"id": "t", "bike_id": "b", "rider_id": "ann", "status": "ended", **fields}}


def test_the_same_on_both_sides_is_no_difference() -> None:
    assert trip_differences([trip()], listed()) == []
    assert trip_differences([trip(CANCELLED)], listed(status="cancelled")) == []
    assert trip_differences([trip(ACTIVE)], listed(status="active")) == []


def test_what_is_lost_or_otherwise_or_too_many_is_said() -> None:
    assert trip_differences([trip()], {}) == ["trip t was started and is not there"]
    assert trip_differences([], listed()) == ["trip t is there and was never answered"]
    assert trip_differences([trip()], listed(status="active")) == ["trip t: status is 'active' instead of 'ended'"]
    assert trip_differences([trip()], listed(rider_id="bob")) == ["trip t: rider_id is 'bob' instead of 'ann'"]


def test_a_status_that_no_answer_told_may_be_any() -> None:
    assert trip_differences([trip(UNKNOWN)], listed(status="active")) == []


def test_accepted_positions_must_be_in_the_route_others_may() -> None:
    ridden = trip()
    ridden.accepted = [NOON + timedelta(seconds=second) for second in (1, 2, 3)]
    route = {
        "geometry": {"coordinates": [[0, 0], [1, 1], [2, 2]]},
        "properties": {"recorded_at": ["2026-01-01T12:00:00Z", "2026-01-01T12:00:01Z", "2026-01-01T12:00:03Z"]},
    }
    assert missing(ridden, route) == [NOON + timedelta(seconds=2)]
    assert missing(trip(), {"geometry": None, "properties": {"recorded_at": []}}) == []
