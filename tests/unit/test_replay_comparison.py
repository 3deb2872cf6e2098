from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from replay.comparison import Comparison, compare, route_points
from replay.distance import MEAN_EARTH_RADIUS_M, path_m
from replay.report import print_report
from replay.ride import Outcome, Position
from replay.source import Point, Ride

START = datetime(2024, 5, 1, 12, tzinfo=UTC)
PLACES = [(-72.6, 42.3), (-72.6, 42.301), (-72.6, 42.302)]
LENGTH_M = path_m(PLACES)


def outcome(error: str | None = None) -> Outcome:
    ride = Ride("trip-1", "924", 0, [Point(number, *place) for number, place in enumerate(PLACES)])
    expected = [Position(START + timedelta(microseconds=number), *place) for number, place in enumerate(PLACES)]
    return Outcome(ride, "bike", "rider", "trip", expected, error)


def trip(**changes: Any) -> dict[str, Any]:
    whole = {"status": "ended", "ended_by": "rider", "bike_id": "bike", "rider_id": "rider", "distance_m": LENGTH_M}
    return {**whole, **changes}


def route(*positions: Position) -> dict[str, Any]:
    coordinates = [[position.longitude, position.latitude] for position in positions]
    times = [position.recorded_at.isoformat().replace("+00:00", "Z") for position in positions]
    geometry = {"type": "LineString", "coordinates": coordinates} if coordinates else None
    return {"type": "Feature", "geometry": geometry, "properties": {"recorded_at": times}}


def whole_route() -> dict[str, Any]:
    return route(*outcome().expected)


def test_distance_is_the_sum_of_great_circles() -> None:
    quarter = MEAN_EARTH_RADIUS_M * 3.141592653589793 / 2
    assert path_m([(0, 0), (90, 0), (0, 90)]) == pytest.approx(2 * quarter)
    assert path_m([(179.5, 0), (-179.5, 0)]) == pytest.approx(quarter / 90)
    assert path_m([(1, 2), (1, 2)]) == path_m([(1, 2)]) == path_m([]) == 0


def test_the_same_ride_has_no_differences() -> None:
    result = compare(outcome(), trip(), whole_route())
    assert result.differences == []
    assert result.ended
    assert result.source_m == result.system_m


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": "cancelled", "ended_by": None}, "status is 'cancelled' instead of 'ended'"),
        ({"ended_by": "system"}, "ended_by is 'system' instead of 'rider'"),
        ({"bike_id": "other"}, "bike_id is 'other'"),
        ({"rider_id": "other"}, "rider_id is 'other'"),
        ({"distance_m": LENGTH_M - 5.1}, "m instead of"),
        ({"distance_m": None}, "0.0 m instead of"),
    ],
)
def test_what_a_trip_says_otherwise_is_a_difference(changes: dict[str, Any], said: str) -> None:
    assert said in "; ".join(compare(outcome(), trip(**changes), whole_route()).differences)


@pytest.mark.parametrize(
    ("source_m", "system_m", "differs"),
    [(100, 104.9, False), (100, 105.1, True), (1000, 990.1, False), (1000, 989.9, True), (0, 5, False), (0, 5.1, True)],
)
def test_distance_may_differ_by_the_larger_of_one_percent_and_five_metres(
    source_m: float, system_m: float, differs: bool
) -> None:
    assert Comparison(outcome(), source_m, system_m).distance_differs is differs


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"recorded_at": START + timedelta(microseconds=2)}, "point 2 is"),
        ({"longitude": -72.600001}, "point 2 is -72.600001"),
        ({"latitude": 42.3}, "point 2 is -72.6 42.3 "),
        ({"longitude": 42.301, "latitude": -72.6}, "point 2 is 42.301 -72.6"),
    ],
)
def test_each_point_is_compared_in_time_and_place(change: dict[str, Any], said: str) -> None:
    first, second, third = outcome().expected
    result = compare(outcome(), trip(), route(first, second._replace(**change), third))
    assert said in "; ".join(result.differences)


def test_missing_and_additional_points_are_differences() -> None:
    points = outcome().expected
    assert compare(outcome(), trip(), route(*points[:2])).differences == ["2 points instead of 3"]
    assert compare(outcome(), trip(), route()).differences == ["0 points instead of 3"]
    assert compare(outcome(), trip(), route(*points, points[-1])).differences == ["4 points instead of 3"]


def test_a_single_point_stands_twice_in_a_route() -> None:
    first, second, _ = outcome().expected
    assert route_points(route(first, first)) == [first]
    assert route_points(route(first, second)) == [first, second]
    assert route_points(route()) == []


def test_a_failed_ride_differs_by_its_error() -> None:
    assert compare(outcome("POST /v1/trips: 404"), trip(), whole_route()).differences == ["POST /v1/trips: 404"]


def printed(results: list[Comparison]) -> tuple[bool, str]:
    out = StringIO()
    return print_report(Console(file=out, width=200), results), out.getvalue()


def test_the_report_tells_both_sides() -> None:
    same, text = printed([compare(outcome(), trip(), whole_route())])
    assert same
    cells = [[cell.strip() for cell in line.split("│")[1:4]] for line in text.splitlines() if line.startswith("│")]
    assert cells == [
        ["rides ended", "1", "1"],
        ["distinct points by bike and time", "3", "3"],
        ["total distance, km", "0.222", "0.222"],
        ["rides over 1 % and 5 m off in distance", "", "0"],
        ["rides that differ in anything", "", "0"],
    ]


def test_the_report_names_the_first_rides_that_differ() -> None:
    same, text = printed([compare(outcome(), trip(distance_m=0), route())] * 12)
    assert not same
    assert text.count("differs trip trip (ride trip-1 of bike 924): 0 points instead of 3; 0.0 m instead of") == 10
    assert "and 2 more rides" in text


def test_a_ride_that_never_started_counts_with_its_points() -> None:
    never = Outcome(outcome().ride, "bike", "rider", None, [], "POST /v1/trips: 409")
    _, text = printed([Comparison(never, LENGTH_M, differences=["POST /v1/trips: 409"])])
    assert ["distinct points by bike and time", "3", "0"] in [
        [cell.strip() for cell in line.split("│")[1:4]] for line in text.splitlines()
    ]
