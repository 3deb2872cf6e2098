"""The rides in PostgreSQL. Everything works in the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, func, insert, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from shared import outbox
from shared.arrays import array
from shared.compiled_positions import Position
from shared.fields import Point
from shared.metrics import count_on_commit
from trip_service.domain import Status
from trip_service.metrics import TOMBSTONES, TRIPS_CANCELLED, TRIPS_ENDED, TRIPS_STARTED
from trip_service.models import Outbox, Trip
from trip_service.schemas import event_data

LENGTHS = text("""
    SELECT trips.id::text, coalesce(sum(step), 0)
    FROM trips LEFT JOIN LATERAL (
        -- The first position has none before it, and no step.
        SELECT CASE WHEN lag(longitude) OVER path IS NOT NULL THEN
            great_circle_m(lag(longitude) OVER path, lag(latitude) OVER path, longitude, latitude)
        END AS step
        FROM positions
        WHERE positions.bike_id = trips.bike_id AND recorded_at >= trips.started_at
            AND recorded_at <= coalesce(trips.ended_at, 'infinity')
            -- Said once more with values, so that only the partitions of these days are looked at.
            AND recorded_at >= :since AND recorded_at <= coalesce(CAST(:until AS timestamptz), 'infinity')
        WINDOW path AS (ORDER BY recorded_at)
    ) AS steps ON true
    WHERE trips.id = ANY(CAST(:ids AS uuid[]))
    GROUP BY trips.id
""")
ROUTE = text("""
    SELECT recorded_at, longitude, latitude FROM positions
    WHERE bike_id = :bike_id AND recorded_at >= :started_at
        AND recorded_at <= coalesce(CAST(:ended_at AS timestamptz), 'infinity')
    ORDER BY recorded_at
""")
LAST_POSITION = text("""
    SELECT recorded_at, longitude, latitude FROM positions
    WHERE bike_id = :bike_id AND recorded_at >= :started_at AND recorded_at <= :until
    ORDER BY recorded_at DESC LIMIT 1
""")
TOUCH = text("""
    UPDATE trips SET route_version = route_version + 1
    WHERE id = ANY(ARRAY(
        SELECT trips.id
        FROM unnest(CAST(:ids AS uuid[]), CAST(:firsts AS timestamptz[]), CAST(:lasts AS timestamptz[]))
            AS new (bike_id, first, last)
        JOIN trips ON trips.bike_id = new.bike_id AND trips.status <> 'void'
            AND tstzrange(started_at, coalesce(ended_at, 'infinity'), '[]') && tstzrange(first, last, '[]')
            -- The routes of older trips are dropped, and their distances stand.
        WHERE CAST(:kept_since AS timestamptz) IS NULL OR started_at >= :kept_since
        ORDER BY trips.id FOR UPDATE OF trips
    ))
""")
FORGOTTEN = text("""
    SELECT id::text FROM trips
    WHERE status = 'active' AND started_at < :since AND NOT EXISTS (
        -- A clock far ahead must not keep its trip for ever.
        SELECT FROM positions WHERE positions.bike_id = trips.bike_id AND recorded_at BETWEEN :since AND now()
    )
    ORDER BY started_at LIMIT :limit
""")


def count_active(session: Session) -> int:
    """How many trips have not ended."""
    query = select(func.count()).select_from(Trip).where(Trip.status == Status.ACTIVE)
    return session.scalars(query).one()


class Trips:
    """The trips, as one transaction sees them; tombstones are seen only where a method says so."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def get(self, trip_id: str, *, for_update: bool = False, tombstones: bool = False) -> Trip | None:
        """The trip; `for_update` locks it until the transaction ends."""
        query = select(Trip).where(Trip.id == trip_id).execution_options(populate_existing=True)
        if not tombstones:
            query = query.where(Trip.status != Status.VOID)
        return self.session.scalars(query.with_for_update() if for_update else query).one_or_none()

    def active_of_rider(self, rider_id: str) -> Trip | None:
        """The rider's active trip, if there is one."""
        query = select(Trip).where(Trip.rider_id == rider_id, Trip.status == Status.ACTIVE)
        return self.session.scalars(query).one_or_none()

    def start(self, trip_id: str, bike_id: str, rider_id: str, started_at: datetime, location: Point | None) -> Trip:
        """Insert an active trip with its event; raises IntegrityError when its id, its bike or its rider is taken."""
        longitude, latitude = location or (None, None)
        row = {
            "id": trip_id,
            "bike_id": bike_id,
            "rider_id": rider_id,
            "status": Status.ACTIVE,
            "started_at": started_at,
            "start_longitude": longitude,
            "start_latitude": latitude,
        }
        trip = self.session.scalars(insert(Trip).values(row).returning(Trip)).one()
        self._record("trip_started", trip, started_at)
        count_on_commit(self.session, TRIPS_STARTED)
        return trip

    def entomb(self, trip_id: str, bike_id: str, rider_id: str) -> str:
        """Put the id down as a tombstone, so that a late start under it fails; returns the status the id has now."""
        row = {"id": trip_id, "bike_id": bike_id, "rider_id": rider_id, "status": Status.VOID, "started_at": func.now()}
        put = self.session.execute(upsert(Trip).values(row).on_conflict_do_nothing(index_elements=["id"]))
        count_on_commit(self.session, TOMBSTONES, put.rowcount)  # type: ignore[attr-defined]
        return self.session.scalars(select(Trip.status).where(Trip.id == trip_id)).one()

    def finish(self, trip: Trip, event_type: str, values: dict[str, Any]) -> Trip:
        """End or cancel a trip locked by `get`, with the distance known now, and its event."""
        # A new route version too: whoever measures the open route meanwhile must not have the last word.
        versions = {"revision": Trip.revision + 1, "route_version": Trip.route_version + 1}
        self.session.execute(update(Trip).where(Trip.id == trip.id).values({**values, **versions}))
        self.measure([trip.id])
        finished = self.get(trip.id)
        assert finished is not None, "locked by this transaction"
        self._record(event_type, finished, values["ended_at"])
        cancelled = finished.status == Status.CANCELLED
        count_on_commit(self.session, TRIPS_CANCELLED if cancelled else TRIPS_ENDED.labels(finished.ended_by))
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
        return self.session.scalars(FORGOTTEN, {"since": since, "limit": limit}).all()

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
        self.session.execute(TOUCH, {**spans_by_bike, "kept_since": kept_since})

    def refresh_distances(self, trips: Sequence[Trip]) -> None:
        """Measure those of `trips` whose route has changed since they were measured."""
        stale = {trip.id: trip for trip in trips if trip.distance_version != trip.route_version}
        if stale:
            for trip_id, distance_m in self.measure(list(stale)).items():
                # Not an assignment: that would be written, without the guard that `measure` writes with.
                set_committed_value(stale[trip_id], "distance_m", distance_m)

    def stale_before(self, moment: datetime, limit: int) -> list[Trip]:
        """Trips started before `moment` whose distance does not follow their route yet."""
        query = select(Trip).where(Trip.started_at < moment, Trip.distance_version != Trip.route_version)
        return list(self.session.scalars(query.limit(limit)))

    def measure(self, trip_ids: list[str]) -> dict[str, float]:
        """Sum up the routes of trips and keep the distances; returns them by trip id.

        The version is read before the route: what arrives in between makes the trip stale again.
        """
        query = select(Trip.id, Trip.route_version, Trip.started_at, Trip.ended_at).where(Trip.id.in_(trip_ids))
        trips = self.session.execute(query).all()
        ends = [trip.ended_at for trip in trips]
        span = {
            "since": min((trip.started_at for trip in trips), default=None),
            "until": None if None in ends else max(ends, default=None),
        }
        versions = {trip.id: trip.route_version for trip in trips}
        rows = self.session.execute(LENGTHS, {"ids": trip_ids, **span})
        lengths = {trip_id: length for trip_id, length in rows}  # noqa: C416
        measured = [
            {"key": trip_id, "version": versions[trip_id], "metres": lengths[trip_id]} for trip_id in sorted(versions)
        ]
        statement = (
            update(Trip)
            .where(and_(Trip.id == bindparam("key"), Trip.distance_version <= bindparam("version")))
            .values(distance_m=bindparam("metres"), distance_version=bindparam("version"))
        )
        self.session.connection().execute(statement, measured)
        return lengths

    def route(self, trip: Trip) -> list[tuple[datetime, float, float]]:
        """The (time, longitude, latitude) of the bike from the trip's start to its end, in time order."""
        span = {"bike_id": trip.bike_id, "started_at": trip.started_at, "ended_at": trip.ended_at}
        return [(row.recorded_at, row.longitude, row.latitude) for row in self.session.execute(ROUTE, span)]

    def last_position(self, trip: Trip, until: datetime) -> tuple[datetime, Point] | None:
        """Time and place of the trip's last position up to `until`, if there is one."""
        span = {"bike_id": trip.bike_id, "started_at": trip.started_at, "until": until}
        row = self.session.execute(LAST_POSITION, span).one_or_none()
        return None if row is None else (row.recorded_at, (row.longitude, row.latitude))

    def _record(self, event_type: str, trip: Trip, occurred_at: datetime) -> None:
        outbox.record(self.session, Outbox, event_type, [event_data(trip)], occurred_at)
