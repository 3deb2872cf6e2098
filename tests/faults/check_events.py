"""The events that the listener received held against the databases: each committed change once, and no other."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from tests.faults.stack import Stack

Json = dict[str, Any]
TRIPS = "SELECT id::text, revision FROM trips WHERE status <> 'void' AND started_at >= %s"
BIKES = "SELECT id::text, revision FROM bikes"
# What follows the route after the trip's end is not the event's.
LATER = {"distance_m"}


def check(stack: Stack, trips: Mapping[str, Json], since: float) -> list[str]:
    by_subject = stack.listener.by_subject()
    moment = datetime.fromtimestamp(since, UTC)
    committed = dict(stack.query("bike_service", BIKES)) | dict(stack.query("trip_service", TRIPS, moment))
    everything = {row[0] for row in stack.query("trip_service", "SELECT id::text FROM trips WHERE status <> 'void'")}
    return [
        *(f"the event {event_id} came again with other data" for event_id in stack.listener.contradictions),
        *_revisions(by_subject, committed),
        *(
            f"an event about {subject}, which is not there"
            for subject in by_subject.keys() - everything - committed.keys()
        ),
        *_last_states(by_subject, trips),
    ]


def _revisions(by_subject: Mapping[str, list[Json]], committed: Mapping[str, int]) -> Iterable[str]:
    for subject, revision in committed.items():
        seen = [event["data"]["revision"] for event in by_subject.get(subject, [])]
        if seen != list(range(1, revision + 1)):
            yield f"{subject} is at revision {revision}, and the events told of {seen[-8:]}"


def _last_states(by_subject: Mapping[str, list[Json]], trips: Mapping[str, Json]) -> Iterable[str]:
    for trip_id, trip in trips.items():
        events = by_subject.get(trip_id)
        if events:
            told = events[-1]["data"]
            wrong = {name for name in trip.keys() - LATER if told.get(name) != trip[name]}
            if wrong:
                yield f"the last event of trip {trip_id} differs from it in {sorted(wrong)}"
