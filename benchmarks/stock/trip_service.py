"""The rides with stock nameko."""

import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from kombu import Exchange, Queue
from nameko.events import EventDispatcher
from nameko.messaging import consume
from nameko.rpc import RpcProxy, rpc
from nameko_sqlalchemy import Database
from sqlalchemy import insert, select, text, update

from benchmarks.stock import schemas
from benchmarks.stock.models import ENGINE_OPTIONS, SESSION_OPTIONS, Trip, Trips

STORE = text("""
    INSERT INTO positions (bike_id, recorded_at, longitude, latitude, battery_percent, speed_mps, accuracy_m)
    VALUES (:bike_id, :recorded_at, :longitude, :latitude, :battery_percent, :speed_mps, :accuracy_m)
    ON CONFLICT DO NOTHING
""")
LAST_POSITION = text("""
    SELECT longitude, latitude FROM positions
    WHERE bike_id = :bike_id AND recorded_at >= :started_at AND recorded_at <= :until
    ORDER BY recorded_at DESC LIMIT 1
""")
LENGTH = text("""
    SELECT coalesce(sum(step), 0) FROM (
        SELECT CASE WHEN lag(longitude) OVER path IS NOT NULL THEN
            great_circle_m(lag(longitude) OVER path, lag(latitude) OVER path, longitude, latitude)
        END AS step
        FROM positions WHERE bike_id = :bike_id AND recorded_at >= :started_at AND recorded_at <= :until
        WINDOW path AS (ORDER BY recorded_at)
    ) AS steps
""")
POSITIONS = Queue("trip_service.positions", Exchange("positions", type="topic", durable=True), routing_key="#")
UNLOCK, PER_MINUTE, CURRENCY = Decimal("1.00"), Decimal("0.20"), "EUR"

_start, _end, _positions = schemas.StartSchema(), schemas.EndSchema(), schemas.PositionsSchema()


class Base(Trips):
    """Named as nameko-sqlalchemy's setting has it."""

    __abstract__ = True


class Refused(Exception):
    """There is no such trip, or it cannot be begun."""


class TripService:
    """Knows the rides."""

    name = "trip_service"

    db = Database(Base, session_options=SESSION_OPTIONS, engine_options=ENGINE_OPTIONS)
    bikes = RpcProxy("bike_service")
    dispatch = EventDispatcher()

    @rpc
    def start(self, bike_id: str, rider_id: str) -> dict[str, Any]:
        loaded = _start.load({"bike_id": bike_id, "rider_id": rider_id})
        trip_id, bike_id = str(uuid.uuid4()), str(loaded["bike_id"])
        with self.db.get_session() as session:
            query = select(Trip).where(Trip.rider_id == loaded["rider_id"], Trip.status == "active")
            if session.scalars(query).one_or_none() is not None:
                raise Refused("The rider has an active trip.")
        bike = self.bikes.check_out(bike_id, trip_id, loaded["rider_id"])
        longitude, latitude = bike["location"]["coordinates"]
        row = {
            "id": trip_id, "bike_id": bike_id, "rider_id": loaded["rider_id"], "status": "active",
            "started_at": datetime.now(UTC), "start_longitude": longitude, "start_latitude": latitude,
        }  # fmt: skip
        with self.db.get_session() as session:
            shown = schemas.show_trip(session.scalars(insert(Trip).values(row).returning(Trip)).one())
        self.dispatch("trip_started", shown)
        return shown

    @rpc
    def end(self, trip_id: str, rider_id: str) -> dict[str, Any]:
        loaded = _end.load({"trip_id": trip_id, "rider_id": rider_id})
        with self.db.get_session() as session:
            query = select(Trip).where(Trip.id == str(loaded["trip_id"])).with_for_update()
            trip = session.scalars(query).one_or_none()
            if trip is None or trip.rider_id != loaded["rider_id"] or trip.status != "active":
                raise Refused("There is no such trip.")
            shown = schemas.show_trip(self._finish(session, trip))
        self.dispatch("trip_ended", shown)
        self.bikes.check_in(shown["bike_id"], shown["id"])
        return shown

    def _finish(self, session: Any, trip: Trip) -> Trip:
        ended_at = max(datetime.now(UTC), trip.started_at)
        span = {"bike_id": trip.bike_id, "started_at": trip.started_at, "until": ended_at}
        last = session.execute(LAST_POSITION, span).one_or_none()
        longitude, latitude = last or (trip.start_longitude, trip.start_latitude)
        duration_s = int((ended_at - trip.started_at).total_seconds()) + 1
        values = {
            "status": "ended", "ended_at": ended_at, "ended_by": "rider", "duration_s": duration_s,
            "end_longitude": longitude, "end_latitude": latitude, "distance_m": session.scalar(LENGTH, span),
            "fare_amount": UNLOCK + PER_MINUTE * -(-duration_s // 60), "fare_currency": CURRENCY,
            "revision": Trip.revision + 1,
        }  # fmt: skip
        statement = update(Trip).where(Trip.id == trip.id).values(values).returning(Trip)
        finished: Trip = session.scalars(statement.execution_options(populate_existing=True)).one()
        return finished

    @rpc
    def dispatch_ended(self, trips: list[dict[str, Any]]) -> int:
        """Publish an event for each trip, one after the other, as a relay made of nameko's parts would."""
        for trip in trips:
            self.dispatch("trip_ended", trip)
        return len(trips)

    @rpc
    def health(self) -> str:
        with self.db.get_session() as session:
            session.execute(text("SELECT 1"))
        return "ok"

    @consume(POSITIONS)
    def take_positions(self, body: dict[str, Any]) -> None:
        with self.db.get_session() as session:
            for position in _positions.load(body)["positions"]:
                longitude, latitude = position["location"]["coordinates"]
                values = {
                    "bike_id": str(position["bike_id"]), "recorded_at": position["recorded_at"],
                    "longitude": longitude, "latitude": latitude, "battery_percent": position.get("battery_percent"),
                    "speed_mps": position.get("speed_mps"), "accuracy_m": position.get("accuracy_m"),
                }  # fmt: skip
                session.execute(STORE, values)
