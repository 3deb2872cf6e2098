"""The fleet with stock nameko."""

import math
from typing import Any

from kombu import Exchange, Queue
from nameko.events import event_handler
from nameko.messaging import consume
from nameko.rpc import rpc
from nameko_sqlalchemy import Database
from sqlalchemy import func, select, text, update

from benchmarks.stock import schemas
from benchmarks.stock.models import ENGINE_OPTIONS, SESSION_OPTIONS, Bike, Bikes

EARTH_RADIUS_M = 6_371_008.8
HERE = (
    "cube(ARRAY[cos(radians(:lat)) * cos(radians(:lon)), cos(radians(:lat)) * sin(radians(:lon)), sin(radians(:lat))])"
)
NEAREST = text(f"""
    SELECT id::text, chord FROM (
        SELECT id, sphere <-> {HERE} AS chord FROM bikes
        WHERE status = :status AND sphere <@ cube_enlarge({HERE}, :reach, 3)
        ORDER BY sphere <-> {HERE}
        LIMIT :limit
    ) AS nearest
    WHERE chord <= :reach
    ORDER BY chord, id
""")
MOVE = text("""
    UPDATE bikes SET longitude = :longitude, latitude = :latitude, located_at = :recorded_at,
        battery_percent = coalesce(:battery_percent, battery_percent),
        battery_at = CASE WHEN :battery_percent IS NULL THEN battery_at ELSE :recorded_at END
    WHERE id = :bike_id AND (located_at IS NULL OR located_at < :recorded_at)
""")
POSITIONS = Queue("bike_service.positions", Exchange("positions", type="topic", durable=True), routing_key="#")

_bike_id, _near, _check_out, _check_in = (
    schemas.BikeIdSchema(), schemas.NearSchema(), schemas.CheckOutSchema(), schemas.CheckInSchema()
)  # fmt: skip
_trip_event, _positions = schemas.TripEventSchema(), schemas.PositionsSchema()


class Base(Bikes):
    """Named as nameko-sqlalchemy's setting has it."""

    __abstract__ = True


class Refused(Exception):
    """The bike is not there, or not to be had."""


class BikeService:
    """Knows where each bike is, and whether it can be rented."""

    name = "bike_service"

    db = Database(Base, session_options=SESSION_OPTIONS, engine_options=ENGINE_OPTIONS)

    @rpc
    def get(self, bike_id: str, viewer: Any = None) -> dict[str, Any]:
        loaded = _bike_id.load({"bike_id": bike_id, "viewer": viewer})
        with self.db.get_session() as session:
            bike = session.scalars(select(Bike).where(Bike.id == str(loaded["bike_id"]))).one_or_none()
            if bike is None:
                raise Refused("There is no such bike.")
            return schemas.show_bike(bike, loaded.get("viewer"))

    @rpc
    def near(self, viewer: Any = None, **place: Any) -> dict[str, Any]:
        loaded = _near.load({**place, "viewer": viewer})
        values = {**loaded, "reach": 2 * math.sin(loaded["radius"] / EARTH_RADIUS_M / 2)}
        with self.db.get_session() as session:
            found = session.execute(NEAREST, values).all()
            query = select(Bike).where(Bike.id.in_([bike_id for bike_id, _ in found]))
            bikes = {bike.id: bike for bike in session.scalars(query)}
            items = [
                {
                    **schemas.show_bike(bikes[bike_id], loaded.get("viewer")),
                    "distance_m": round(2 * EARTH_RADIUS_M * math.asin(min(1.0, chord / 2)), 2),
                }
                for bike_id, chord in found
            ]
        return {"items": items, "next": None}

    @rpc
    def check_out(self, bike_id: str, trip_id: str, rider_id: str) -> dict[str, Any]:
        loaded = _check_out.load({"bike_id": bike_id, "trip_id": trip_id, "rider_id": rider_id})
        taker = {
            "trip_id": str(loaded["trip_id"]), "rider_id": loaded["rider_id"], "checked_out_at": func.now(),
            "status": "in_use", "revision": Bike.revision + 1, "updated_at": func.now(),
        }  # fmt: skip
        with self.db.get_session() as session:
            statement = update(Bike).where(Bike.id == str(loaded["bike_id"]), Bike.status == "available")
            bike = session.scalars(statement.values(taker).returning(Bike)).one_or_none()
            if bike is None:
                raise Refused("The bike is not available.")
            return schemas.show_bike(bike, None)

    @rpc
    def check_in(self, bike_id: str, trip_id: str) -> dict[str, Any]:
        return {"released": self._free(_check_in.load({"bike_id": bike_id, "trip_id": trip_id}))}

    @rpc
    def health(self) -> str:
        with self.db.get_session() as session:
            session.execute(text("SELECT 1"))
        return "ok"

    @event_handler("trip_service", "trip_ended")
    def on_trip_ended(self, payload: dict[str, Any]) -> None:
        trip = _trip_event.load(payload)
        self._free({"bike_id": trip["bike_id"], "trip_id": trip["id"]})

    @consume(POSITIONS)
    def take_positions(self, body: dict[str, Any]) -> None:
        with self.db.get_session() as session:
            for position in _positions.load(body)["positions"]:
                longitude, latitude = position["location"]["coordinates"]
                values = {
                    "bike_id": str(position["bike_id"]), "recorded_at": position["recorded_at"],
                    "longitude": longitude, "latitude": latitude, "battery_percent": position.get("battery_percent"),
                }  # fmt: skip
                session.execute(MOVE, values)

    def _free(self, loaded: dict[str, Any]) -> bool:
        freed = {
            "status": "available", "trip_id": None, "rider_id": None, "checked_out_at": None,
            "revision": Bike.revision + 1, "updated_at": func.now(),
        }  # fmt: skip
        condition = (Bike.id == str(loaded["bike_id"]), Bike.trip_id == str(loaded["trip_id"]))
        with self.db.get_session() as session:
            bike = session.scalars(update(Bike).where(*condition).values(freed).returning(Bike)).one_or_none()
        return bike is not None
