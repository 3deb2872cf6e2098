"""What can be asked of the rides: rules from `domain`, rows from `repositories`, the bikes from bike_service."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from shared import idempotency, position_messages
from shared.batch import DeadLetter, Delivery
from shared.errors import Conflict, NotFound
from shared.fields import Point, canonical_uuid, format_time, parse_time
from shared.paging import decode_cursor, page
from trip_service import domain, positions, schemas
from trip_service.domain import EndedBy, Status, Tariff
from trip_service.models import IdempotencyKey, Trip
from trip_service.repositories import Trips

Json = dict[str, Any]
Transaction = Callable[[], Any]


def get(session: Session, trip_id: str, rider_id: str | None) -> Json:
    trips = Trips(session)
    trip = _found(trips.get(trip_id), rider_id)
    trips.refresh_distances([trip])
    return schemas.show(trip)


def list_page(session: Session, criteria: Json) -> Json:
    trips, limit = Trips(session), criteria["limit"]
    cursor = criteria.get("cursor")
    after = decode_cursor(cursor, parse_time, canonical_uuid) if cursor is not None else None
    found = trips.find(criteria, after, limit + 1)
    shown, following = page(found, limit, lambda trip: (format_time(trip.started_at), trip.id))
    trips.refresh_distances(shown)
    return {"items": [schemas.show(trip) for trip in shown], "next": following}


def route(session: Session, trip_id: str, rider_id: str | None) -> Json:
    trips = Trips(session)
    trip = _found(trips.get(trip_id), rider_id)
    return schemas.route_feature(trip, trips.route(trip))


def end(session: Session, trip_id: str, rider_id: str | None, location: Point | None, tariff: Tariff) -> Json:
    """End a trip, once: it is priced, and its event written, in this transaction."""
    trips = Trips(session)
    trip = _found(trips.get(trip_id, for_update=True), rider_id)
    _refuse_if(domain.refusal_to_end(trip.status))
    if trip.status == Status.ACTIVE:
        ended_at = max(datetime.now(UTC), trip.started_at)
        if location is None:
            last = trips.last_position(trip, ended_at)
            location = last[1] if last else trip.start_location
        by = EndedBy.OPERATOR if rider_id is None else EndedBy.RIDER
        trip = trips.finish(trip, "trip_ended", _ending(trip, ended_at, by, location, tariff))
    return schemas.show(trip)


def cancel(session: Session, trip_id: str) -> Json:
    """Cancel an active trip, once; nothing is to be paid."""
    trips = Trips(session)
    trip = _found(trips.get(trip_id, for_update=True), None)
    _refuse_if(domain.refusal_to_cancel(trip.status))
    if trip.status == Status.ACTIVE:
        ended_at = max(datetime.now(UTC), trip.started_at)
        last = trips.last_position(trip, ended_at)
        ending = _ending(trip, ended_at, EndedBy.OPERATOR, last[1] if last else trip.start_location, None)
        trip = trips.finish(trip, "trip_cancelled", ending)
    return schemas.show(trip)


def end_forgotten(session: Session, trip_id: str, since: datetime, tariff: Tariff) -> Json | None:
    """End a trip that nobody ended, at the time and place of its last position, else of its start."""
    trips = Trips(session)
    trip = trips.get(trip_id, for_update=True)
    if trip is None or trip.status != Status.ACTIVE:
        return None
    ended_at, location = trips.last_position(trip, datetime.now(UTC)) or (trip.started_at, trip.start_location)
    if ended_at >= since:
        return None  # heard of after all, while this waited for the lock
    ending = _ending(trip, ended_at, EndedBy.SYSTEM, location, tariff)
    return schemas.show(trips.finish(trip, "trip_ended", ending))


def take_positions(
    transaction: Transaction, deliveries: Sequence[Delivery], retention: timedelta | None = None
) -> list[DeadLetter]:
    """Store a batch of messages of positions; what is bad of them becomes dead letters."""
    read = [position_messages.read(delivery) for delivery in deliveries]
    good = [position for found, _ in read for position in found]
    with transaction() as session:
        positions.store(session, good)
    if good:
        with transaction() as session:
            Trips(session).touch_routes(good, None if retention is None else _measured_until(retention))
    return [letter for _, bad in read for letter in bad]


def keep_partitions(transaction: Transaction, retention: timedelta | None, now: datetime | None = None) -> None:
    """Make the partitions of positions that will be needed, and drop those that are older than `retention`.

    One day to a transaction, since each locks what other days' readers may need too.
    """
    now = now or datetime.now(UTC)
    with transaction() as session:
        missing = positions.missing_days(session, now)
    for day in missing:
        with transaction() as session:
            positions.make_partition(session, day)
    if retention is None:
        return
    with transaction() as session:
        # A distance must be known before its route is dropped.
        trips = Trips(session)
        while stale := trips.stale_before(_measured_until(retention, now), 100):
            trips.measure([trip.id for trip in stale])
    with transaction() as session:
        outdated = positions.outdated_partitions(session, now - retention)
    for name in outdated:
        with transaction() as session:
            positions.drop_partition(session, name)
    with transaction() as session:
        positions.delete_strays(session, now - retention)


def forget_old(session: Session) -> None:
    """Delete kept answers that nobody can ask for any more."""
    idempotency.forget_old(session, IdempotencyKey)


def _measured_until(retention: timedelta, now: datetime | None = None) -> datetime:
    """Trips that started before this are measured once and for all, a day before their routes are dropped."""
    return (now or datetime.now(UTC)) - retention + timedelta(days=1)


def _ending(
    trip: Trip, ended_at: datetime, ended_by: EndedBy, location: Point | None, tariff: Tariff | None
) -> dict[str, Any]:
    longitude, latitude = location or (None, None)
    duration_s = domain.duration_s(trip.started_at, ended_at)
    return {
        "status": Status.CANCELLED if tariff is None else Status.ENDED,
        "ended_at": ended_at,
        "ended_by": ended_by,
        "end_longitude": longitude,
        "end_latitude": latitude,
        "duration_s": duration_s,
        "fare_amount": None if tariff is None else tariff.fare(duration_s),
        "fare_currency": None if tariff is None else tariff.currency,
    }


def _found(trip: Trip | None, rider_id: str | None) -> Trip:
    if trip is None or rider_id not in (None, trip.rider_id):
        raise NotFound("There is no such trip.")
    return trip


def _refuse_if(reason: str | None) -> None:
    if reason is not None:
        raise Conflict(reason)
