import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.fields import Point
from shared.geodesy import EARTH_RADIUS_M, great_circle_m, path_length_m

HALF_WAY_ROUND = math.pi * EARTH_RADIUS_M
DEGREE = HALF_WAY_ROUND / 180
NANOMETRE = 1e-9

longitudes, latitudes = st.floats(-180, 180), st.floats(-90, 90)
points = st.tuples(longitudes, latitudes)


@pytest.mark.parametrize(
    ("a", "b", "metres"),
    [
        ((0, 0), (0, 0), 0),
        ((8.5, 47.4), (8.5, 47.4), 0),
        ((0, 0), (1, 0), DEGREE),
        ((0, 0), (0, 1), DEGREE),
        ((0, 60), (1, 60), 55_597.0),  # half a degree of the equator, less a little: the chord is shorter
        ((0, 0), (180, 0), HALF_WAY_ROUND),
        ((0, -90), (0, 90), HALF_WAY_ROUND),
        ((10, 45), (-170, -45), HALF_WAY_ROUND),
        ((10, 45), (-170, 45), 90 * DEGREE),  # over the pole
        ((179.5, 0), (-179.5, 0), DEGREE),
        ((-180, 12), (180, 12), 0),
        ((17, 90), (-99, 90), 0),
        ((17, -90), (-99, -89), DEGREE),
        ((8.5417, 47.3769), (8.5417, 47.3770), DEGREE / 10_000),
    ],
)
def test_known_distances(a: Point, b: Point, metres: float) -> None:
    assert great_circle_m(a, b) == pytest.approx(metres, rel=1e-4, abs=0.001)


def test_longitude_comes_first() -> None:
    # Far north a degree of longitude is short; of latitude never.
    assert great_circle_m((0, 80), (1, 80)) < DEGREE / 5
    assert great_circle_m((80, 0), (80, 1)) == pytest.approx(DEGREE)


@given(points, points)
def test_a_distance_is_the_same_both_ways_and_at_most_half_way_round(a: Point, b: Point) -> None:
    assert great_circle_m(a, b) == great_circle_m(b, a)
    assert 0 <= great_circle_m(a, b) <= HALF_WAY_ROUND + NANOMETRE
    assert great_circle_m(a, a) == 0


@given(points, points, points)
def test_no_detour_is_shorter(a: Point, b: Point, c: Point) -> None:
    assert great_circle_m(a, c) <= great_circle_m(a, b) + great_circle_m(b, c) + 1


@given(points, latitudes)
def test_the_180th_meridian_is_one_line(a: Point, latitude: float) -> None:
    assert great_circle_m(a, (-180, latitude)) == pytest.approx(great_circle_m(a, (180, latitude)), abs=0.2)


@given(points, longitudes, st.sampled_from([-90, 90]))
def test_a_pole_has_no_longitude(a: Point, longitude: float, pole: float) -> None:
    assert great_circle_m(a, (longitude, pole)) == pytest.approx(DEGREE * abs(pole - a[1]), abs=0.2)


@given(points, st.floats(-1e-4, 1e-4), st.floats(-1e-4, 1e-4))
def test_a_few_metres_are_measured_as_on_a_plane(a: Point, east: float, north: float) -> None:
    longitude, latitude = a[0] * 0.9, a[1] * 0.8
    b = (longitude + east, latitude + north)
    middle = math.radians(latitude + north / 2)
    assert great_circle_m((longitude, latitude), b) == pytest.approx(
        DEGREE * math.hypot(east * math.cos(middle), north), abs=1e-4
    )


@pytest.mark.parametrize(
    ("path", "metres"),
    [([], 0), ([(8, 47)], 0), ([(0, 0), (0, 1), (0, 0)], 2 * DEGREE), ([(0, 0), (1, 0), (2, 0)], 2 * DEGREE)],
)
def test_a_path_is_as_long_as_its_steps(path: list[Point], metres: float) -> None:
    assert path_length_m(iter(path)) == pytest.approx(metres)


@given(st.lists(points, min_size=2, max_size=6))
def test_a_path_is_never_shorter_than_the_way_between_its_ends(path: list[Point]) -> None:
    assert path_length_m(path) >= great_circle_m(path[0], path[-1]) - 1
    assert path_length_m(path) == pytest.approx(path_length_m(path[::-1]))
