"""How long the GBFS feed of the bikes takes to build, in this process: what a gateway does, without its other work."""

import time
import uuid
from collections.abc import Sequence
from typing import Any

from benchmarks import figures, fleet
from benchmarks.errors import BenchmarkError
from gateway_service.fleet_view import FleetView
from gateway_service.gbfs_vehicles import VehicleWriter
from shared import garbage
from shared.gbfs_settings import of_environment

ROUNDS = 3
TYPES = ("bike", "ebike", "cargo")


def first_s(count: int) -> float:
    """Seconds from the rows of so many bikes, of all types, to the bytes: nothing of it was made before."""
    rows = _rows(count)
    return figures.median([_build(FleetView(), rows)[0] for _ in range(ROUNDS)])


def again_s(count: int, moved: int) -> float:
    """Seconds to build it anew after so many bikes have moved."""
    view, rows = FleetView(), _rows(count)
    _, writer = _build(view, rows)
    seconds = []
    for number in range(ROUNDS):
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + number + 1))
        began = time.perf_counter()
        view.hear_positions(
            {"bike_id": row[0], "recorded_at": at, "location": {"type": "Point", "coordinates": [row[5], row[6]]}}
            for row in rows[:moved]
        )
        writer.build(view.in_order(), time.time())
        seconds.append(time.perf_counter() - began)
    return figures.median(seconds)


def _build(view: FleetView, rows: Sequence[Any]) -> tuple[float, VehicleWriter]:
    # As every service does at its start.
    garbage.settle()
    writer, began = VehicleWriter(of_environment({})), time.perf_counter()
    view.merge(rows)
    body = writer.build(view.in_order(), time.time())
    seconds = time.perf_counter() - began
    if body.text.count(b'"vehicle_id"') != len(rows):
        raise BenchmarkError(f"the feed has not just {len(rows)} bikes")
    return seconds, writer


def _rows(count: int) -> list[list[Any]]:
    now, places = time.time() - 60, fleet.places(count, count, seed=3)
    return [
        [bike_id, 1, "available", str(uuid.uuid4()), TYPES[index % 3], longitude, latitude, now, 71.5, now]
        for index, (bike_id, (latitude, longitude)) in enumerate(zip(fleet.bike_ids(count), places, strict=True))
    ]
