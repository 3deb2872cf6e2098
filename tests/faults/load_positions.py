"""Positions for the load: of each bike in the order of its time, none twice, each at a place of its own."""

import random
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]


class PositionSource:
    """`next(bike_id)` may be called by any thread."""

    def __init__(self, seed: int) -> None:
        self._rng, self._lock = random.Random(seed), threading.Lock()
        self._last: dict[str, datetime] = {}

    def next(self, bike_id: str) -> Json:
        """A position of now, as it stands in a message."""
        with self._lock:
            at = max(datetime.now(UTC), self._last.get(bike_id, datetime.min.replace(tzinfo=UTC)) + timedelta(0, 0, 1))
            self._last[bike_id] = at
            place = [round(self._rng.uniform(-72.7, -72.5), 6), round(self._rng.uniform(42.2, 42.4), 6)]
        return {
            "bike_id": bike_id,
            "recorded_at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "location": {"type": "Point", "coordinates": place},
        }
