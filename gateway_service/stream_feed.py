"""From what the broker says to what is on the stream: `bike`, `trip`, `position` and `reset`.

A bike's positions between two ticks become one, the newest; what is older than what readers have seen is left out.
"""

from typing import Any

import msgspec

from gateway_service.stream_ring import Item, Place, Ring
from gateway_service.stream_trips import ActiveTrips
from shared import http_readers_metrics as metrics
from shared import sse
from shared.moves import Move, time_key

Json = dict[str, Any]
BIKE, TRIP, POSITION, RESET = NAMES = ("bike", "trip", "position", "reset")
# Shown from the start, at zero, so that Prometheus sees the first one as an increase.
for _name in NAMES:
    metrics.EVENTS.labels(_name)
RETIRED = "retired"


class Feed:
    """Takes events and moves as they come; `flush` puts them on the ring.

    While it is not `wanted`, it keeps nothing but which trips are active.
    """

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self.wanted = False
        self.trips = ActiveTrips()
        # Where readers have seen a bike last, and of when that is.
        self._seen: dict[str, tuple[str, Place]] = {}
        self._changes: list[tuple[str, Json]] = []
        self._moved: dict[str, Move] = {}
        self._encode = msgspec.json.Encoder().encode

    def on_event(self, event_type: str, event: Json) -> None:
        data = event["data"]
        is_trip = event_type.startswith("trip_")
        if is_trip:
            self.trips.note(data)
        if self.wanted:
            self._changes.append((TRIP if is_trip else BIKE, data))

    def on_moves(self, moves: list[Move]) -> None:
        if not self.wanted:
            return
        for position in moves:
            bike_id, recorded_at = position["bike_id"], time_key(position["recorded_at"])
            seen, known = self._seen.get(bike_id), self._moved.get(bike_id)
            if (seen is None or seen[0] < recorded_at) and (
                known is None or time_key(known["recorded_at"]) <= recorded_at
            ):
                self._moved[bike_id] = position

    def forget(self) -> None:
        """Nothing of before is of use, neither to go on from nor to compare with."""
        self.trips.forget()
        self.drop()

    def drop(self) -> None:
        """Let go of all that is for readers only."""
        self._seen.clear()
        self._changes.clear()
        self._moved.clear()
        self._ring.forget()

    def flush(self, with_positions: bool) -> list[Item]:
        """Put what has come on the ring, the positions only when it is their turn; returns it."""
        items = [self._changed(kind, data) for kind, data in self._changes]
        self._changes.clear()
        if with_positions:
            items += [self._position(bike_id, position) for bike_id, position in self._moved.items()]
            self._moved.clear()
        return items

    def reset(self, reason: str) -> bytes:
        """What a reader is told that has to load anew, since it cannot be told what it has missed."""
        metrics.EVENTS.labels(RESET).inc()
        return sse.event(RESET, self._ring.newest_id, self._encode({"reason": reason}))

    def _changed(self, kind: str, data: Json) -> Item:
        if kind == TRIP:
            seen = self._seen.get(str(data.get("bike_id")))
            place = seen[1] if seen else place_of(data.get("end_location")) or place_of(data.get("start_location"))
            return self._add(TRIP, data, place, None)
        seen = self._seen.get(data["id"])
        before, place = seen[1] if seen else None, place_of(data.get("location"))
        if data.get("status") == RETIRED:
            self._seen.pop(data["id"], None)
        elif place is not None:
            located_at = time_key(str(data.get("located_at") or ""))
            if seen is None or seen[0] <= located_at:
                self._seen[data["id"]] = (located_at, place)
            else:
                # The event is of before a position that readers have seen; that is where they have the bike.
                place = before
        return self._add(BIKE, data, place, before)

    def _position(self, bike_id: str, position: Move) -> Item:
        seen, place = self._seen.get(bike_id), place_of(position["location"])
        assert place is not None, "judged by the listener"
        self._seen[bike_id] = (time_key(position["recorded_at"]), place)
        trip_id = self.trips.of(bike_id)
        data: Json = {**position} if trip_id is None else {**position, "trip_id": trip_id}
        return self._add(POSITION, data, place, seen[1] if seen else None)

    def _add(self, name: str, data: Json, place: Place | None, before: Place | None) -> Item:
        metrics.EVENTS.labels(name).inc()
        item = Item(sse.event(name, self._ring.next_id, self._encode(data)), place, before)
        self._ring.add(item)
        return item


def place_of(location: Any) -> Place | None:
    """Where a GeoJSON point is; None for what is none."""
    try:
        longitude, latitude = location["coordinates"]
        return float(longitude), float(latitude)
    except (TypeError, KeyError, ValueError):
        return None
