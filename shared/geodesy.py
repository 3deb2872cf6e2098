"""Distances on a sphere of the Earth's mean radius (IUGG R1), in metres and degrees."""

import math
from collections.abc import Iterable
from itertools import pairwise

from shared.fields import Point

EARTH_RADIUS_M = 6_371_008.8


def great_circle_m(a: Point, b: Point) -> float:
    """The great-circle distance between two (longitude, latitude) points, by the haversine formula."""
    lon_a, lat_a, lon_b, lat_b = map(math.radians, (*a, *b))
    half_chord_squared = (
        math.sin((lat_b - lat_a) / 2) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(half_chord_squared)))


def path_length_m(points: Iterable[Point]) -> float:
    """The sum of great circles along `points`."""
    return sum(great_circle_m(a, b) for a, b in pairwise(points))
