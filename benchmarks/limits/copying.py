"""COPY into the table of positions: the least that storing rows can cost."""

import io
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.telemetry import Position

COLUMNS = "bike_id, recorded_at, longitude, latitude, battery_percent, speed_mps, accuracy_m"


def copy(connection: Any, positions: Sequence[Position]) -> float:
    """Copy the rows in one statement; the seconds that it took, without those of making its input."""
    lines = "".join(
        f"{p.bike_id}\t{p.recorded_at}\t{p.longitude}\t{p.latitude}\t{p.battery_percent}\t{p.speed_mps}\t{p.accuracy_m}\n"
        for p in positions
    )
    data = io.StringIO(lines)
    with connection.cursor() as cursor:
        started = time.monotonic()
        cursor.copy_expert(f"COPY positions ({COLUMNS}) FROM STDIN", data)
        return time.monotonic() - started
