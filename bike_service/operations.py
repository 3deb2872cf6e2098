"""What the fleet can be asked to do, each in one transaction: rules from `domain`, rows from `repositories`."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy.orm import Session

from bike_service import compiled_reads, domain, feed_rows, read_rows, schemas
from bike_service.domain import Status, Viewer
from bike_service.models import Bike, IdempotencyKey, Inbox
from bike_service.read_rows import Row
from bike_service.repositories import Bikes
from bike_service.schemas import EndedTrip
from shared import idempotency, inbox, position_messages
from shared.batch import DeadLetter, Delivery
from shared.compiled_positions import Position
from shared.errors import Conflict, DomainError, NotFound
from shared.fields import canonical_uuid
from shared.paging import decode_cursor, encode_cursor, page

Json = dict[str, Any]
OPERATOR = Viewer()


def add(session: Session, bike: Json, subject: str | None, key: str | None) -> Json:
    """Add one bike; under an idempotency key the first answer is kept."""
    bike_id = bike.get("bike_id") or str(uuid4())
    if key is None:
        return _add(session, bike, bike_id)
    who = subject or ""
    attempt = idempotency.begin(session, IdempotencyKey, who, key, _fingerprint(bike), bike_id)
    if attempt.answer is not None:
        return {**attempt.answer, "replayed": True}
    answer = _add(session, bike, attempt.resource_id)
    idempotency.keep_result(session, IdempotencyKey, who, key, answer)
    return {**answer, "replayed": False}


def keep_refusal(session: Session, bike: Json, subject: str | None, key: str | None, error: DomainError) -> None:
    """Keep a refusal as the answer to `key`, if it is one: the transaction that met it has left nothing behind."""
    if key is None or error.replayed or error.retry_after is not None:
        return
    attempt = idempotency.begin(session, IdempotencyKey, subject or "", key, _fingerprint(bike), str(uuid4()))
    if attempt.answer is None:
        idempotency.keep_error(session, IdempotencyKey, subject or "", key, error)


def _fingerprint(bike: Json) -> str:
    # The id is the caller's own, made anew for each try.
    return idempotency.fingerprint("add", {name: value for name, value in bike.items() if name != "bike_id"})


def _add(session: Session, bike: Json, bike_id: str) -> Json:
    try:
        return schemas.show(Bikes(session).add_many([{**bike, "id": bike_id}])[0], OPERATOR)
    except Conflict as error:
        raise Conflict(error.detail, {"errors": {"name": [error.detail]}}) from None


def add_many(session: Session, bikes: Sequence[Json]) -> Json:
    rows = [{**bike, "id": bike.get("bike_id") or str(uuid4())} for bike in bikes]
    return {"items": [schemas.show(bike, OPERATOR) for bike in Bikes(session).add_many(rows)]}


def get(session: Session, bike_id: str, viewer: Viewer) -> Json:
    return schemas.show(_found(Bikes(session).get(bike_id)), viewer)


def get_many(session: Session, calls: Sequence[Mapping[str, Any] | DomainError]) -> list[Json | DomainError]:
    """Of each call its bike, or its own error."""
    rows = read_rows.by_ids(session, (call["bike_id"] for call in calls if isinstance(call, Mapping)))
    return [_got(rows, call) for call in calls]


def _got(rows: Mapping[str, Row], call: Mapping[str, Any] | DomainError) -> Json | DomainError:
    if isinstance(call, DomainError):
        return call
    row = rows.get(call["bike_id"])
    return NotFound("There is no such bike.") if row is None else compiled_reads.show(row, schemas.viewer_of(call))


def list_page(session: Session, arguments: Json, viewer: Viewer) -> Json:
    cursor, limit = arguments.get("cursor"), arguments["limit"]
    after = decode_cursor(cursor, canonical_uuid)[0] if cursor is not None else None
    rows = Bikes(session).find(arguments.get("status"), arguments.get("bbox"), after, limit + 1, viewer)
    shown, following = page(rows, limit, lambda bike: (bike.id,))
    return {"items": [schemas.show(bike, viewer) for bike in shown], "next": following}


def near(session: Session, arguments: Mapping[str, Any]) -> Json:
    return _nearest(session, [arguments])[0]


def near_many(session: Session, calls: Sequence[Mapping[str, Any] | DomainError]) -> list[Json | DomainError]:
    """Of each call its nearest bikes, or its own error."""
    found = iter(_nearest(session, [call for call in calls if isinstance(call, Mapping)]))
    return [call if isinstance(call, DomainError) else next(found) for call in calls]


def _nearest(session: Session, places: Sequence[Mapping[str, Any]]) -> list[Json]:
    asked = [(place, schemas.viewer_of(place)) for place in places]
    found = read_rows.near(session, asked)
    return [
        {
            "items": [{**compiled_reads.show(row, viewer), "distance_m": round(distance, 2)} for row, distance in rows],
            "next": None,
        }
        for rows, (_, viewer) in zip(found, asked, strict=True)
    ]


def feed(session: Session, after: str | None, limit: int) -> Json:
    rows = feed_rows.page(session, after, limit)
    return {"items": rows, "next": rows[-1][0] if len(rows) == limit else None}


def change(session: Session, bike_id: str, wanted: Json) -> Json:
    bikes = Bikes(session)
    bike = _found(bikes.get(bike_id, for_update=True))
    _refuse_if(domain.refusal_to_change(bike.status))
    changes = domain.changes(wanted, bike)
    return schemas.show(bikes.change(bike, changes) if changes else bike, OPERATOR)


def retire(session: Session, bike_id: str) -> Json:
    bikes = Bikes(session)
    bike = _found(bikes.get(bike_id, for_update=True))
    _refuse_if(domain.refusal_to_retire(bike.status))
    if bike.status != Status.RETIRED:
        bike = bikes.change(bike, {"status": Status.RETIRED}, "bike_retired")
    return schemas.show(bike, OPERATOR)


def check_out(session: Session, calls: Sequence[Mapping[str, Any]]) -> list[Json | DomainError]:
    """Of each call the bike that is now checked out for its trip, or why it is not."""
    bikes = Bikes(session)
    taken = bikes.check_out(calls)
    # Who did not get a bike now may have it from before: then the call is a repetition.
    others = {call["bike_id"] for call in calls} - taken.keys()
    now = {**bikes.by_ids(others), **taken} if others else taken
    return [_checked_out(now.get(call["bike_id"]), call["trip_id"]) for call in calls]


def _checked_out(bike: Bike | None, trip_id: str) -> Json | DomainError:
    if bike is None:
        return NotFound("There is no such bike.")
    if bike.trip_id != trip_id:
        return Conflict(domain.refusal_to_check_out(bike.status) or "The bike was taken just now.")
    return schemas.show(bike, OPERATOR)


def check_in(session: Session, calls: Sequence[Mapping[str, Any]]) -> list[Json | DomainError]:
    """Of each call whether its bike was checked out for its trip, and is free now."""
    released = Bikes(session).check_in(calls)
    return [NotFound("There is no such bike.") if each is None else {"released": each} for each in released]


def check_outs(session: Session, older_than_s: float, limit: int, cursor: str | None) -> Json:
    after = decode_cursor(cursor, canonical_uuid)[0] if cursor is not None else None
    rows = Bikes(session).check_outs(older_than_s, after, limit + 1)
    items = [schemas.show_check_out(bike, age_s) for bike, age_s in rows[:limit]]
    return {"items": items, "next": encode_cursor(items[-1]["bike_id"]) if len(rows) > limit else None}


def free_after_trips(session: Session, ended: Sequence[EndedTrip]) -> None:
    """The end of each trip frees its bike, once; a bike that is checked out for another trip is left alone."""
    new = inbox.first_times(session, Inbox, (each.event_id for each in ended), "free_after_trip")
    given_back = [
        {"bike_id": each.bike_id, "trip_id": each.trip_id, "origin": each.origin}
        for each in ended
        if each.event_id in new
    ]
    if given_back:
        Bikes(session).check_in(given_back)


def take_positions(session: Session, deliveries: Sequence[Delivery]) -> tuple[list[Position], list[DeadLetter]]:
    """Move the bikes of a batch of messages, by the positions returned; what is bad or of no bike is a dead letter."""
    read = [(delivery, *position_messages.read(delivery)) for delivery in deliveries]
    moved, unknown = Bikes(session).move([position for _, good, _ in read for position in good])
    letters: list[DeadLetter] = []
    for delivery, good, bad in read:
        letters += bad
        strays = [(p.raw, f"No bike {p.bike_id}.") for p in good if p.bike_id in unknown]
        if strays:
            letters.append(position_messages.dead_letter(delivery, position_messages.UNKNOWN_BIKE, strays))
    return moved, letters


def forget_old(session: Session) -> None:
    """Delete kept answers and handled events that nobody can ask for any more."""
    idempotency.forget_old(session, IdempotencyKey)
    inbox.forget_old(session, Inbox)


def _found(bike: Bike | None) -> Bike:
    if bike is None:
        raise NotFound("There is no such bike.")
    return bike


def _refuse_if(reason: str | None) -> None:
    if reason is not None:
        raise Conflict(reason)
