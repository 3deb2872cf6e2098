"""The ledger's rides held against the API and the database: none lost, none changed, none on top of another."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from tests.faults.ledger import Entry
from tests.faults.stack import Stack

Json = dict[str, Any]
FROM_START = ("bike_id", "rider_id", "started_at", "start_location")
FROM_END = (*FROM_START, "status", "ended_at", "ended_by", "end_location", "duration_s", "fare")
# The statuses that the load may get, whatever fault strikes: no other 4xx, with the bikes and trips that it asks about.
AWAY = {503, 504}
ALLOWED = {
    "start": {201, 409, *AWAY},
    **{op: {200, *AWAY} for op in ("read", "read_bike", "list", "end", "cancel")},
    "report": {202, *AWAY},
}
OVERLAPS = """
    SELECT a.id::text, b.id::text FROM trips a JOIN trips b ON a.{who} = b.{who} AND a.id < b.id
    WHERE a.status <> 'void' AND b.status <> 'void' AND a.started_at >= %s AND b.started_at >= %s
        AND tstzrange(a.started_at, coalesce(a.ended_at, 'infinity'))
            && tstzrange(b.started_at, coalesce(b.ended_at, 'infinity'))
"""


def trips_since(stack: Stack, since: float) -> dict[str, Json]:
    """What the API says of every trip started after `since` (Unix seconds), by id."""
    after = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {trip["id"]: trip for trip in stack.api.operator().all("/v1/trips", started_after=after, limit=500)}


def check(stack: Stack, entries: Sequence[Entry], trips: Mapping[str, Json], since: float) -> list[str]:
    return [
        *_acknowledged(entries, trips),
        *_one_trip_a_key(entries),
        *refusals(entries),
        *_overlaps_seen(entries),
        *_overlaps_stored(stack, since),
    ]


def _acknowledged(entries: Iterable[Entry], trips: Mapping[str, Json]) -> Iterable[str]:
    for entry in entries:
        if entry.op not in ("start", "end", "cancel") or entry.outcome not in (200, 201):
            continue
        seen, now = entry.body, trips.get(entry.body["id"])
        if now is None:
            yield f"trip {seen['id']} was acknowledged ({entry.op}) and is lost"
            continue
        for name in FROM_START if entry.op == "start" else FROM_END:
            if seen[name] != now[name]:
                yield f"{name} of trip {seen['id']} was answered to {entry.op} as {seen[name]} and is {now[name]}"


def _one_trip_a_key(entries: Iterable[Entry]) -> Iterable[str]:
    """A rider's start is one trip, however often it was sent; a request that went on alone has one answer only."""
    first: dict[tuple[str, str], set[str]] = defaultdict(set)
    for entry in entries:
        if entry.op == "start" and entry.outcome == 201:
            first[entry.who, entry.notes["key"]].add(entry.body["id"])
    return [f"one key led to the trips {ids}" for ids in first.values() if len(ids) > 1]


def refusals(entries: Iterable[Entry]) -> list[str]:
    """Statuses that no fault explains. Requests without a status, and 500, are for `check_answers` to judge."""
    return [
        f"{entry.op} ({entry.notes}) was answered by {entry.outcome}"
        for entry in entries
        if isinstance(entry.outcome, int) and entry.outcome != 500 and entry.outcome not in ALLOWED[entry.op]
    ]


def _overlaps_seen(entries: Sequence[Entry]) -> Iterable[str]:
    """By the callers' own clock: from the 201 to the first request to end, the bike and the rider are in this trip."""
    asked_to_end: dict[str, float] = {}
    for entry in entries:
        if entry.op in ("end", "cancel"):
            trip_id = entry.notes["trip_id"]
            asked_to_end[trip_id] = min(entry.began, asked_to_end.get(trip_id, entry.began))
    spans: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for entry in entries:
        if entry.op == "start" and entry.outcome == 201 and not entry.replayed:
            span = (entry.ended, asked_to_end.get(entry.body["id"], float("inf")), entry.body["id"])
            spans[entry.body["bike_id"]].append(span)
            spans[entry.body["rider_id"]].append(span)
    for who, found in spans.items():
        found.sort()
        for (_, until, one), (since, _, other) in pairwise(found):
            if since < until:
                yield f"{who} was seen in two trips at once, {one} and {other}"


def _overlaps_stored(stack: Stack, since: float) -> Iterable[str]:
    moment = datetime.fromtimestamp(since, UTC)
    for who in ("bike_id", "rider_id"):
        for one, other in stack.query("trip_service", OVERLAPS.format(who=who), moment, moment):
            yield f"trips {one} and {other} of the same {who} overlap"
