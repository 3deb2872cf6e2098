"""The ledger's positions held against both databases: each acknowledged one stored, the newest of each bike shown."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from tests.faults.ledger import CONFIRMED, Entry
from tests.faults.stack import Stack

Key = tuple[str, datetime]
Place = tuple[float, float]
STORED = """
    SELECT bike_id::text, recorded_at, longitude, latitude FROM positions
    WHERE recorded_at >= %s AND bike_id = ANY(%s::uuid[])
"""
SHOWN = "SELECT id::text, located_at, longitude, latitude FROM bikes WHERE located_at IS NOT NULL"


def check(stack: Stack, entries: Sequence[Entry], since: float) -> list[str]:
    acknowledged, sent = dict(_positions(entries, (202, CONFIRMED))), dict(_positions(entries, None))
    rows = stack.query("trip_service", STORED, datetime.fromtimestamp(since, UTC), stack.bikes)
    stored = {(bike, at): (longitude, latitude) for bike, at, longitude, latitude in rows}
    shown = {bike: (at, (lon, lat)) for bike, at, lon, lat in stack.query("bike_service", SHOWN)}
    newest: dict[str, datetime] = {}
    for bike, at in acknowledged:
        newest[bike] = max(at, newest.get(bike, at))
    lost = [key for key in acknowledged if key not in stored]
    changed = [key for key, place in acknowledged.items() if stored.get(key, place) != place]
    strange = [key for key in stored if key not in sent]
    behind = [bike for bike, at in newest.items() if bike not in shown or shown[bike][0] < at]
    astray = [bike for bike in newest if bike in shown and sent.get((bike, shown[bike][0])) != shown[bike][1]]
    found: dict[str, Sequence[object]] = {
        "acknowledged positions are not stored": lost,
        "positions are stored with another place": changed,
        "positions are stored that nobody sent": strange,
        "bikes do not show their newest position": behind,
        "bikes show a place that was not sent with its time": astray,
    }
    return [f"{len(keys)} {what}, such as {keys[0]}" for what, keys in found.items() if keys]


def count(entries: Sequence[Entry]) -> int:
    """How many positions were acknowledged."""
    return len(dict(_positions(entries, (202, CONFIRMED))))


def _positions(entries: Sequence[Entry], outcomes: tuple[int | str, ...] | None) -> Iterable[tuple[Key, Place]]:
    for entry in entries:
        if entry.op in ("report", "publish") and (outcomes is None or entry.outcome in outcomes):
            for position in entry.sent["positions"]:
                bike_id = position.get("bike_id") or entry.notes["bike_id"]
                longitude, latitude = position["location"]["coordinates"]
                yield (bike_id, datetime.fromisoformat(position["recorded_at"])), (longitude, latitude)
