"""Places on a sphere, worked out independently of the product."""

import itertools
import math
import random

Place = tuple[float, float]  # longitude, latitude

EARTH_RADIUS_M = 6_371_008.8
# spheres and ellipsoids of every usual kind agree within this
TOLERANCE = 0.005

# not seeded: two runs against one stack must not meet at the same places
_anywhere = random.SystemRandom()


def far_away(max_latitude: float = 70.0) -> Place:
    """A place where no other test has anything."""
    return round(_anywhere.uniform(-170, 170), 6), round(_anywhere.uniform(-max_latitude, max_latitude), 6)


def distance_m(a: Place, b: Place) -> float:
    lon1, lat1, lon2, lat2 = map(math.radians, (*a, *b))
    h = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, h)))


def length_m(line: list[Place]) -> float:
    return sum(distance_m(a, b) for a, b in itertools.pairwise(line))


def shifted(origin: Place, east_m: float, north_m: float) -> Place:
    """A place this far from the origin (not for use near the poles)."""
    lon, lat = origin
    lon += math.degrees(east_m / (EARTH_RADIUS_M * math.cos(math.radians(lat))))
    return round((lon + 180) % 360 - 180, 6), round(lat + math.degrees(north_m / EARTH_RADIUS_M), 6)


def scattered(random_: random.Random, origin: Place, within_m: float, count: int) -> list[Place]:
    return [
        shifted(origin, random_.uniform(-within_m, within_m), random_.uniform(-within_m, within_m))
        for _ in range(count)
    ]


def point(place: Place) -> dict[str, object]:
    """GeoJSON."""
    return {"type": "Point", "coordinates": list(place)}


def box(origin: Place, half_m: float = 3_000) -> str:
    """The `bbox` parameter around a place; may cross the 180° meridian."""
    west, south = shifted(origin, -half_m, -half_m)
    east, north = shifted(origin, half_m, half_m)
    return f"{west},{south},{east},{north}"
