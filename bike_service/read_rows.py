"""Bikes as thousands read them: rows for many calls by one statement, without objects that could be changed.

An ORM object costs more than the rest of reading a bike, and the nearest took two statements, each with its own way to
the database. Measured: benchmarks/, workloads `read_one` and `nearest`; docs/performance.md.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from bike_service.domain import Viewer
from shared.arrays import array
from shared.geodesy import EARTH_RADIUS_M

Row = Sequence[Any]
"""Of a bike: what COLUMNS names."""

COLUMNS = (
    "id::text, name, status, longitude, latitude, located_at, battery_percent, created_at, updated_at, rider_id,"
    " vehicle_type_id"
)
BY_IDS = text(f"SELECT {COLUMNS} FROM bikes WHERE id = ANY (CAST(:ids AS uuid[]))")  # noqa: S608 - constants
# `here` is the point asked for, on the unit sphere, as the column `sphere` has the bikes. The status is one for all:
# only where it is known beforehand does the planner take the index of the bikes to rent.
NEAREST = text(f"""
    SELECT asked.place, nearest.chord, {COLUMNS}
    FROM unnest(
        CAST(:lats AS float8[]), CAST(:lons AS float8[]), CAST(:reaches AS float8[]), CAST(:limits AS int[]),
        CAST(:all_seen AS bool[]), CAST(:riders AS text[]), CAST(:vehicles AS text[])
    ) WITH ORDINALITY AS asked (lat, lon, reach, most, sees_all, rider, vehicle, place)
    CROSS JOIN LATERAL (
        SELECT cube(ARRAY[
            cos(radians(lat)) * cos(radians(lon)), cos(radians(lat)) * sin(radians(lon)), sin(radians(lat))
        ]) AS here
    ) AS point
    CROSS JOIN LATERAL (
        SELECT bikes.*, sphere <-> here AS chord FROM bikes
        WHERE status = :status AND sphere <@ cube_enlarge(here, reach, 3)
            AND (sees_all OR status <> 'in_use' OR rider_id = rider OR id::text = vehicle)
        ORDER BY sphere <-> here
        LIMIT most
    ) AS nearest
    WHERE chord <= reach
    ORDER BY asked.place, chord, id
""")  # noqa: S608 - put together from constants


def by_ids(session: Session, ids: Iterable[str]) -> dict[str, Row]:
    """Those of the bikes that there are, by id."""
    return {row[0]: row for row in session.execute(BY_IDS, {"ids": array(ids)})}


def near(session: Session, asked: Sequence[tuple[Mapping[str, Any], Viewer]]) -> list[list[tuple[Row, float]]]:
    """For each place (`lat`, `lon`, `radius`, `status`, `limit`) the nearest bikes that its viewer may know of.

    Each with its distance in metres, nearest first.
    """
    found: list[list[tuple[Row, float]]] = [[] for _ in asked]
    for status in {place["status"] for place, _ in asked}:
        indexes = [index for index, (place, _) in enumerate(asked) if place["status"] == status]
        for number, chord, *row in session.execute(NEAREST, _parameters(status, [asked[index] for index in indexes])):
            distance = 2 * EARTH_RADIUS_M * math.asin(min(1.0, chord / 2))
            found[indexes[number - 1]].append((row, distance))
    return found


def _parameters(status: str, asked: Sequence[tuple[Mapping[str, Any], Viewer]]) -> dict[str, Any]:
    return {
        "status": status,
        "lats": [place["lat"] for place, _ in asked],
        "lons": [place["lon"] for place, _ in asked],
        "reaches": [2 * math.sin(place["radius"] / EARTH_RADIUS_M / 2) for place, _ in asked],
        "limits": [place["limit"] for place, _ in asked],
        "all_seen": [viewer.sees_all for _, viewer in asked],
        "riders": [viewer.sub if viewer.role == "rider" else None for _, viewer in asked],
        "vehicles": [viewer.sub if viewer.role == "vehicle" else None for _, viewer in asked],
    }
