"""What can be asked of the rides: rules from `domain`, rows from `repositories`, the bikes from bike_service."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from shared import idempotency, position_messages
from shared.batch import DeadLetter, Delivery
from shared.errors import Conflict, DomainError, NotFound
from shared.fields import Point, canonical_uuid, format_time, parse_time
from shared.origins import Origin
from shared.paging import decode_cursor, page
from trip_service import domain, positions, schemas
from trip_service.domain import EndedBy, Status, Tariff
from trip_service.models import IdempotencyKey, Trip
from trip_service.repositories import Ending, Trips

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


def end(session: Session, calls: Sequence[Mapping[str, Any]], tariff: Tariff) -> list[Json | DomainError]:
    """End trips, each once: it is priced, and its event written, in this transaction. Of each call its trip, ended."""
    trips = Trips(session)
    known = trips.by_ids((call["trip_id"] for call in calls), for_update=True)
    refusals = [_refusal(known.get(call["trip_id"]), call, domain.refusal_to_end) for call in calls]
    ending: dict[str, Mapping[str, Any]] = {}
    for call, refusal in zip(calls, refusals, strict=True):
        if refusal is None and known[call["trip_id"]].status == Status.ACTIVE:
            ending.setdefault(call["trip_id"], call)
    if ending:
        now = datetime.now(UTC)
        lasts = trips.last_positions(
            [known[trip_id] for trip_id, call in ending.items() if "location" not in call], now
        )
        endings = [_ending(known[trip_id], call, now, lasts, tariff) for trip_id, call in ending.items()]
        known |= trips.finish("trip_ended", endings)
    shown = {trip_id: schemas.show(trip) for trip_id, trip in known.items()}
    return [refusal or shown[call["trip_id"]] for call, refusal in zip(calls, refusals, strict=True)]


def _ending(
    trip: Trip, call: Mapping[str, Any], now: datetime, lasts: Mapping[str, tuple[datetime, Point]], tariff: Tariff
) -> Ending:
    location = call["location"] if "location" in call else _last_place(trip, lasts)
    by = EndedBy.RIDER if "rider_id" in call else EndedBy.OPERATOR
    return _priced(trip, max(now, trip.started_at), by, location, tariff, call.get("origin"))


def cancel(session: Session, trip_id: str) -> Json:
    """Cancel an active trip, once; nothing is to be paid."""
    trips = Trips(session)
    trip = trips.by_ids([trip_id], for_update=True).get(trip_id)
    refusal = _refusal(trip, {}, domain.refusal_to_cancel)
    if trip is None or refusal is not None:
        raise refusal or NotFound("There is no such trip.")
    if trip.status == Status.ACTIVE:
        ended_at = max(datetime.now(UTC), trip.started_at)
        place, duration_s = (
            _last_place(trip, trips.last_positions([trip], ended_at)),
            domain.duration_s(trip.started_at, ended_at),
        )
        trip = trips.finish("trip_cancelled", [Ending(trip, ended_at, EndedBy.OPERATOR, place, duration_s)])[trip_id]
    return schemas.show(trip)


def end_forgotten(session: Session, trip_id: str, since: datetime, tariff: Tariff) -> Json | None:
    """End a trip that nobody ended, at the time and place of its last position, else of its start."""
    trips = Trips(session)
    trip = trips.by_ids([trip_id], for_update=True).get(trip_id)
    if trip is None or trip.status != Status.ACTIVE:
        return None
    lasts = trips.last_positions([trip], datetime.now(UTC))
    ended_at, location = lasts.get(trip_id, (trip.started_at, trip.start_location))
    if ended_at >= since:
        return None  # heard of after all, while this waited for the lock
    ending = _priced(trip, ended_at, EndedBy.SYSTEM, location, tariff, None)
    return schemas.show(trips.finish("trip_ended", [ending])[trip_id])


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
            trips.refresh_distances(stale)
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


def _priced(
    trip: Trip, ended_at: datetime, by: EndedBy, location: Point | None, tariff: Tariff, origin: Origin | None
) -> Ending:
    duration_s = domain.duration_s(trip.started_at, ended_at)
    return Ending(trip, ended_at, by, location, duration_s, tariff.fare(duration_s), tariff.currency, origin)


def _last_place(trip: Trip, lasts: Mapping[str, tuple[datetime, Point]]) -> Point | None:
    return lasts[trip.id][1] if trip.id in lasts else trip.start_location


def _refusal(
    trip: Trip | None, call: Mapping[str, Any], refusal_by: Callable[[str], str | None]
) -> NotFound | Conflict | None:
    """Why this call cannot have its trip changed, or None."""
    if trip is None or call.get("rider_id") not in (None, trip.rider_id):
        return NotFound("There is no such trip.")
    reason = refusal_by(trip.status)
    return None if reason is None else Conflict(reason)


def _found(trip: Trip | None, rider_id: str | None) -> Trip:
    if trip is None or rider_id not in (None, trip.rider_id):
        raise NotFound("There is no such trip.")
    return trip
