"""Length of a recorded path; on purpose not the services' own, whose result it checks."""

from collections.abc import Iterable
from itertools import pairwise
from math import asin, cos, fsum, radians, sin, sqrt

MEAN_EARTH_RADIUS_M = 6_371_008.8


def path_m(path: Iterable[tuple[float, float]]) -> float:
    """Metres: the sum of great circles between consecutive (longitude, latitude) in degrees."""
    return fsum(_great_circle_m(a, b) for a, b in pairwise(path))


def _great_circle_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    (lon_a, lat_a), (lon_b, lat_b) = a, b
    half_lat = sin(radians(lat_b - lat_a) / 2) ** 2
    half_lon = sin(radians(lon_b - lon_a) / 2) ** 2
    square = half_lat + cos(radians(lat_a)) * cos(radians(lat_b)) * half_lon
    return 2 * MEAN_EARTH_RADIUS_M * asin(min(1.0, sqrt(square)))
