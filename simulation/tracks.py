"""Ways through the city: the places that a bike passes, and when."""

from collections.abc import Sequence
from itertools import pairwise
from math import cos, radians
from typing import NamedTuple

from replay import clock
from replay.distance import path_m
from replay.fleet import Place
from replay.source import Ride


class Waypoint(NamedTuple):
    """Seconds after the start, and degrees."""

    offset_s: float
    longitude: float
    latitude: float


def recorded(ride: Ride, speed: float) -> list[Waypoint]:
    """A recorded ride, `speed` times faster; of several points of one time the first."""
    points = ride.points
    offsets = clock.offsets_us([point.time_ns for point in points], speed)
    return [
        Waypoint(offset / 1e6, point.longitude, point.latitude) for offset, point in zip(offsets, points, strict=True)
    ]


def bent(start: Place, end: Place, bends: Sequence[float]) -> list[Place]:
    """A way that bends as streets make it: each bend moves the middle of a leg aside, in shares of its length.

    One bend gives two legs, three give four, and so on: 2^n - 1 bends are used.
    """
    way, given = [start, end], iter(bends)
    while len(way) - 1 + len(way) - 2 <= len(bends):
        longer = [way[0]]
        for a, b in pairwise(way):
            longer += [_aside(a, b, next(given)), b]
        way = longer
    return way


def timed(way: Sequence[Place], speed_mps: float, every_s: float) -> list[Waypoint]:
    """Where one is on the way every `every_s` seconds at that speed, its two ends among them."""
    legs = [path_m(leg) for leg in pairwise(way)]
    track = [Waypoint(0.0, *way[0])]
    passed_m = 0.0
    for (a, b), length_m in zip(pairwise(way), legs, strict=True):
        while length_m and (next_m := (len(track)) * every_s * speed_mps) < passed_m + length_m:
            share = (next_m - passed_m) / length_m
            track.append(Waypoint(len(track) * every_s, a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])))
        passed_m += length_m
    if passed_m:
        track.append(Waypoint(passed_m / speed_mps, *way[-1]))
    return track


def _aside(a: Place, b: Place, share: float) -> Place:
    """The middle of a leg, moved at right angles; a degree of longitude is shorter than one of latitude."""
    shrink = cos(radians((a[1] + b[1]) / 2)) or 1.0
    east, north = (b[0] - a[0]) * shrink, b[1] - a[1]
    return (a[0] + b[0]) / 2 - share * north / shrink, (a[1] + b[1]) / 2 + share * east
