"""The rides in PostgreSQL. Everything works in the caller's transaction."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from shared import outbox
from shared.arrays import array, unnested
from shared.compiled_positions import Position
from shared.fields import Point
from shared.metrics import count_on_commit
from shared.origins import Origin
from trip_service import statements
from trip_service.domain import EndedBy, Status
from trip_service.metrics import TOMBSTONES, TRIPS_CANCELLED, TRIPS_ENDED, TRIPS_STARTED
from trip_service.models import Outbox, Trip
from trip_service.schemas import event_data

NOWHERE = (None, None)


@dataclass(frozen=True)
class NewTrip:
    """A trip to be started; `origin`: whose call it is, None for the worker's own."""

    trip_id: str
    bike_id: str
    rider_id: str
    started_at: datetime
    location: Point | None
    origin: Origin | None = None


@dataclass(frozen=True)
class Ending:
    """What a trip gets by its end; `fare` (an amount) and `currency` are None of one that is cancelled."""

    trip: Trip
    ended_at: datetime
    ended_by: EndedBy
    location: Point | None
    duration_s: int
    fare: Decimal | None = None
    currency: str | None = None
    origin: Origin | None = None


def count_active(session: Session) -> int:
    """How many trips have not ended."""
    query = select(func.count()).select_from(Trip).where(Trip.status == Status.ACTIVE)
    return session.scalars(query).one()


class Trips:
    """The trips, as one transaction sees them; tombstones are seen only where a method says so."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def get(self, trip_id: str) -> Trip | None:
        """The trip."""
        return self.by_ids([trip_id]).get(trip_id)

    def by_ids(self, ids: Iterable[str], *, for_update: bool = False, tombstones: bool = False) -> dict[str, Trip]:
        """Those of the trips that there are, by id; `for_update` locks them until the transaction ends."""
        query = select(Trip).where(Trip.id.in_(set(ids))).execution_options(populate_existing=True)
        if not tombstones:
            query = query.where(Trip.status != Status.VOID)
        if for_update:
            # In one order, so that two batches cannot wait for each other.
            query = query.order_by(Trip.id).with_for_update()
        return {trip.id: trip for trip in self.session.scalars(query)}

    def active_of_riders(self, rider_ids: Iterable[str]) -> dict[str, Trip]:
        """The riders' active trips, by rider."""
        query = select(Trip).where(Trip.rider_id.in_(set(rider_ids)), Trip.status == Status.ACTIVE)
        return {trip.rider_id: trip for trip in self.session.scalars(query)}

    def start(self, starts: Sequence[NewTrip]) -> dict[str, Trip]:
        """Insert active trips with their events, by id; those whose id, bike or rider is taken are left out."""
        # In one order of riders, so that two batches cannot wait for each other; a bike is given to one of them only.
        rows = [_row(start) for start in sorted(starts, key=lambda start: start.rider_id)]
        if not rows:
            return {}
        statement = upsert(Trip).on_conflict_do_nothing().returning(Trip)
        started = {trip.id: trip for trip in self.session.scalars(statement, rows)}
        self._record("trip_started", started.values(), {start.trip_id: start.origin for start in starts})
        count_on_commit(self.session, TRIPS_STARTED, len(started))
        return started

    def entomb(self, trip_id: str, bike_id: str, rider_id: str) -> str:
        """Put the id down as a tombstone, so that a late start under it fails; returns the status the id has now."""
        row = {"id": trip_id, "bike_id": bike_id, "rider_id": rider_id, "status": Status.VOID, "started_at": func.now()}
        put = self.session.execute(upsert(Trip).values(row).on_conflict_do_nothing(index_elements=["id"]))
        count_on_commit(self.session, TOMBSTONES, put.rowcount)  # type: ignore[attr-defined]
        return self.session.scalars(select(Trip.status).where(Trip.id == trip_id)).one()

    def finish(self, event_type: str, endings: Sequence[Ending]) -> dict[str, Trip]:
        """End or cancel trips locked by `by_ids`, with the distances known now, and their events; by id."""
        new = unnested(
            "new",
            id=(Trip.id.type, (each.trip.id for each in endings)),
            ended_at=(Trip.ended_at.type, (each.ended_at for each in endings)),
            longitude=(Trip.end_longitude.type, ((each.location or NOWHERE)[0] for each in endings)),
            latitude=(Trip.end_latitude.type, ((each.location or NOWHERE)[1] for each in endings)),
            ended_by=(Trip.ended_by.type, (each.ended_by for each in endings)),
            duration_s=(Trip.duration_s.type, (each.duration_s for each in endings)),
            fare_amount=(Trip.fare_amount.type, (each.fare for each in endings)),
            fare_currency=(Trip.fare_currency.type, (each.currency for each in endings)),
        )
        values = {
            "status": Status.CANCELLED if event_type == "trip_cancelled" else Status.ENDED,
            "ended_at": new.c.ended_at,
            "ended_by": new.c.ended_by,
            "end_longitude": new.c.longitude,
            "end_latitude": new.c.latitude,
            "duration_s": new.c.duration_s,
            "fare_amount": new.c.fare_amount,
            "fare_currency": new.c.fare_currency,
            "revision": Trip.revision + 1,
            # A new route version too: whoever measures the open route meanwhile must not have the last word.
            "route_version": Trip.route_version + 1,
        }
        statement = update(Trip).where(Trip.id == new.c.id).values(values).returning(Trip)
        options = {"populate_existing": True, "synchronize_session": False}
        finished = {trip.id: trip for trip in self.session.scalars(statement.execution_options(**options))}
        self.refresh_distances(list(finished.values()))
        self._record(event_type, finished.values(), {each.trip.id: each.origin for each in endings})
        for (status, ended_by), number in Counter((trip.status, trip.ended_by) for trip in finished.values()).items():
            metric = TRIPS_CANCELLED if status == Status.CANCELLED else TRIPS_ENDED.labels(ended_by)
            count_on_commit(self.session, metric, number)
        return finished

    def find(self, criteria: dict[str, Any], after: tuple[datetime, str] | None, limit: int) -> list[Trip]:
        """Up to `limit` trips, newest first, after the (started_at, id) `after`."""
        query = select(Trip).where(Trip.status != Status.VOID)
        for name in ("status", "bike_id", "rider_id"):
            if name in criteria:
                query = query.where(getattr(Trip, name) == criteria[name])
        if "started_after" in criteria:
            query = query.where(Trip.started_at > criteria["started_after"])
        if "started_before" in criteria:
            query = query.where(Trip.started_at < criteria["started_before"])
        if after is not None:
            query = query.where(tuple_(Trip.started_at, Trip.id) < tuple_(*after))
        return list(self.session.scalars(query.order_by(Trip.started_at.desc(), Trip.id.desc()).limit(limit)))

    def active(self, after: str | None, limit: int) -> Sequence[Trip]:
        """Up to `limit` active trips by id, after the id `after`."""
        query = select(Trip).where(Trip.status == Status.ACTIVE).order_by(Trip.id).limit(limit)
        return self.session.scalars(query if after is None else query.where(Trip.id > after)).all()

    def forgotten(self, since: datetime, limit: int) -> Sequence[str]:
        """Ids of active trips that started before `since` and whose bike has sent no position after it."""
        return self.session.scalars(statements.FORGOTTEN, {"since": since, "limit": limit}).all()

    def touch_routes(self, positions: Sequence[Position], kept_since: datetime | None) -> None:
        """Let the trips that `positions` may belong to, of those started after `kept_since`, be measured anew.

        Comes after the commit of the positions, in a transaction of its own, so that it sees each trip that did not
        see them.
        """
        spans: dict[str, tuple[datetime, datetime]] = {}
        for position in positions:
            moment = position.recorded_at
            first, last = spans.get(position.bike_id, (moment, moment))
            spans[position.bike_id] = first if first <= moment else moment, last if last >= moment else moment
        spans_by_bike = {
            "ids": array(spans),
            "firsts": array(first.isoformat() for first, _ in spans.values()),
            "lasts": array(last.isoformat() for _, last in spans.values()),
        }
        self.session.execute(statements.TOUCH, {**spans_by_bike, "kept_since": kept_since})

    def refresh_distances(self, trips: Sequence[Trip]) -> None:
        """Measure those of `trips` whose route has changed since they were measured, and keep the distances."""
        stale = {trip.id: trip for trip in trips if trip.distance_version != trip.route_version}
        if not stale:
            return
        ends = [trip.ended_at for trip in stale.values() if trip.ended_at is not None]
        span = {
            "since": min(trip.started_at for trip in stale.values()),
            "until": max(ends) if len(ends) == len(stale) else None,
        }
        for trip_id, version, metres in self.session.execute(statements.MEASURE, {"ids": array(stale), **span}):
            # No assignments: they would be written, without the guard that MEASURE writes with.
            set_committed_value(stale[trip_id], "distance_m", metres)
            set_committed_value(stale[trip_id], "distance_version", version)

    def stale_before(self, moment: datetime, limit: int) -> list[Trip]:
        """Trips started before `moment` whose distance does not follow their route yet."""
        query = select(Trip).where(Trip.started_at < moment, Trip.distance_version != Trip.route_version)
        return list(self.session.scalars(query.limit(limit)))

    def route(self, trip: Trip) -> list[tuple[datetime, float, float]]:
        """The (time, longitude, latitude) of the bike from the trip's start to its end, in time order."""
        span = {"bike_id": trip.bike_id, "started_at": trip.started_at, "ended_at": trip.ended_at}
        return [(row.recorded_at, row.longitude, row.latitude) for row in self.session.execute(statements.ROUTE, span)]

    def last_positions(self, trips: Sequence[Trip], until: datetime) -> dict[str, tuple[datetime, Point]]:
        """Time and place of the last position up to `until` of those of the trips that have one, by trip."""
        if not trips:
            return {}
        spans = {
            "trips": array(trip.id for trip in trips),
            "bikes": array(trip.bike_id for trip in trips),
            "starts": array(trip.started_at.isoformat() for trip in trips),
            "since": min(trip.started_at for trip in trips),
            "until": until,
        }
        rows = self.session.execute(statements.LAST_POSITIONS, spans)
        return {trip_id: (recorded_at, (longitude, latitude)) for trip_id, recorded_at, longitude, latitude in rows}

    def _record(self, event_type: str, trips: Iterable[Trip], origins: Mapping[str, Origin | None]) -> None:
        """An event of each trip, at the time of its change; of a batch mostly one time."""
        by_time: dict[datetime, list[Trip]] = {}
        for trip in trips:
            by_time.setdefault(trip.ended_at or trip.started_at, []).append(trip)
        for occurred_at, same in by_time.items():
            whose = [origins[trip.id] for trip in same]
            outbox.record(self.session, Outbox, event_type, [event_data(trip) for trip in same], occurred_at, whose)


def _row(start: NewTrip) -> dict[str, Any]:
    longitude, latitude = start.location or NOWHERE
    return {
        "id": start.trip_id,
        "bike_id": start.bike_id,
        "rider_id": start.rider_id,
        "status": Status.ACTIVE,
        "started_at": start.started_at,
        "start_longitude": longitude,
        "start_latitude": latitude,
    }
