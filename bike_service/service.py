"""The fleet as a service.

RPC methods take plain values (ids as UUID strings, a location as a GeoJSON Point, times as RFC 3339 text) and answer
with the bike of the contract: `{"id", "name", "status", "location", "located_at", "battery_percent", "vehicle_type_id",
"created_at", "updated_at"}`. They raise the errors of `shared.errors`: Invalid (with `errors` by field), NotFound,
Conflict, Unavailable. Those that write are idempotent under the id that the caller gives.

`viewer` says who looks, `{"role": "anonymous" | "rider" | "vehicle" | "operator", "sub": ...}`, and masks what they
may not see; without it the caller is trusted.
"""

from collections.abc import Sequence
from typing import Any

from nameko.timer import timer
from sqlalchemy import text

from bike_service import feed_rows, operations, schemas
from bike_service.models import Base, Outbox
from bike_service.repositories import count_by_status
from bike_service.schemas import viewer_of
from shared import origins
from shared.batch import DeadLetter, Delivery, batch_consume
from shared.census import Census
from shared.database import Database
from shared.errors import Conflict
from shared.event_batch import Event, event_handler_many
from shared.log import WorkerLog
from shared.moves import Moves
from shared.outbox import OutboxRelay
from shared.positions import queue_of
from shared.positions_topology import PositionsTopology
from shared.rpc import rpc
from shared.rpc_batch import rpc_many
from shared.timer_metrics import TimerMetrics
from shared.together import only, together
from shared.validation import load_arguments, load_calls
from shared.worker_traces import Traces

Json = dict[str, Any]


class BikeService:
    """Knows where each bike is, and whether it can be rented."""

    name = "bike_service"

    log = WorkerLog()
    traces = Traces()
    db = Database(Base)
    relay = OutboxRelay(Base, Outbox)
    topology = PositionsTopology()
    moves = Moves()
    timers = TimerMetrics()
    fleet = Census("bikes", "Bikes by status.", count_by_status, label="status")

    @rpc
    def add(self, bike: Any = None, subject: Any = None, idempotency_key: Any = None) -> Json:
        """Add a bike: `{"id", "name", "location", "battery_percent", "vehicle_type_id"}`, all optional.

        Conflict: the name is taken. With `idempotency_key` (of `subject`) the answer also has `replayed`.
        """
        loaded = load_arguments(
            schemas.AddSchema(), bike={} if bike is None else bike, subject=subject, idempotency_key=idempotency_key
        )
        request = loaded["bike"], loaded.get("subject"), loaded.get("idempotency_key")
        try:
            with self.db.get_session() as session:
                return operations.add(session, *request)
        except Conflict as error:
            with self.db.get_session() as session:
                operations.keep_refusal(session, *request, error)
            raise

    @rpc
    def add_many(self, bikes: Any) -> Json:
        """Add up to 1000 bikes (each as `add` takes it), all or none."""
        rows = load_arguments(schemas.AddManySchema(), bikes=bikes)["bikes"]
        with self.db.get_session() as session:
            return operations.add_many(session, rows)

    @rpc
    def get(self, bike_id: Any, viewer: Any = None) -> Json:
        """The bike."""
        loaded = load_arguments(schemas.BikeIdSchema(), bike_id=bike_id, viewer=viewer)
        with self.db.get_session() as session:
            return operations.get(session, loaded["bike_id"], viewer_of(dict(loaded)))

    @rpc_many
    def get_many(self, calls: Any) -> Sequence[Any]:
        """`get` for many callers at once, by one query: a list of `{"bike_id", "viewer"}`."""
        loaded = load_calls(schemas.BikeIdSchema(), calls)
        with self.db.get_session() as session:
            return operations.get_many(session, loaded)

    @rpc
    def list(
        self, status: Any = None, bbox: Any = None, limit: Any = None, cursor: Any = None, viewer: Any = None
    ) -> Json:
        """`{"items": [...], "next": cursor | None}`; `bbox` is [minlon, minlat, maxlon, maxlat]."""
        loaded = dict(
            load_arguments(schemas.ListSchema(), status=status, bbox=bbox, limit=limit, cursor=cursor, viewer=viewer)
        )
        with self.db.get_session() as session:
            return operations.list_page(session, loaded, viewer_of(loaded))

    @rpc
    def near(
        self, lat: Any, lon: Any, radius: Any = None, status: Any = None, limit: Any = None, viewer: Any = None
    ) -> Json:
        """The nearest bikes within `radius` metres (1000), each with `distance_m`, nearest first."""
        loaded = load_arguments(
            schemas.NearSchema(), lat=lat, lon=lon, radius=radius, status=status, limit=limit, viewer=viewer
        )
        with self.db.get_session() as session:
            return operations.near(session, loaded)

    @rpc_many
    def near_many(self, calls: Any) -> Sequence[Any]:
        """`near` for many callers at once, by one query: a list of `{"lat", "lon", "radius", ...}`."""
        loaded = load_calls(schemas.NearSchema(), calls)
        with self.db.get_session() as session:
            return operations.near_many(session, loaded)

    @rpc
    def feed(self, after: Any = None, rows: Any = None) -> Json:
        """The bikes of the GBFS feed by id, after the id `after`: `{"items": [row, ...], "next": id | None}`.

        A row is `[id, revision, status, vehicle_id, vehicle_type_id, longitude, latitude, located_at, battery_percent,
        battery_at]`, times in seconds since 1970, each null where it is unknown.
        `vehicle_id` is the public id, which is told nowhere else.
        """
        loaded = load_arguments(schemas.FeedSchema(), after=after, rows=rows)
        with self.db.get_session() as session:
            return operations.feed(session, loaded.get("after"), loaded["rows"])

    @rpc
    def feed_of(self, bike_ids: Any) -> Json:
        """Those of these bikes that the feed has, as rows of `feed`: `{"items": [row, ...]}`."""
        loaded = load_arguments(schemas.FeedOfSchema(), bike_ids=bike_ids)
        with self.db.get_session() as session:
            return {"items": feed_rows.by_ids(session, loaded["bike_ids"])}

    @rpc
    def change(self, bike_id: Any, changes: Any) -> Json:
        """Change `{"name", "status", "vehicle_type_id"}`, all optional.

        Conflict: in use, retired, or the name is taken.
        """
        loaded = load_arguments(schemas.ChangeSchema(), bike_id=bike_id, changes=changes)
        with self.db.get_session() as session:
            return operations.change(session, loaded["bike_id"], loaded["changes"])

    @rpc
    def retire(self, bike_id: Any) -> Json:
        """Take a bike out of the fleet for good; it keeps its history. Conflict: in use."""
        loaded = load_arguments(schemas.BikeIdSchema(), bike_id=bike_id)
        with self.db.get_session() as session:
            return operations.retire(session, loaded["bike_id"])

    @rpc
    def check_out(self, bike_id: Any, trip_id: Any, rider_id: Any) -> Json:
        """Give an available bike to a trip. Conflict: it is not available. Again for the same trip: no effect."""
        checked_out: Json = only(self.check_out_many([{"bike_id": bike_id, "trip_id": trip_id, "rider_id": rider_id}]))
        return checked_out

    @rpc_many
    def check_out_many(self, calls: Any) -> Sequence[Any]:
        """`check_out` for many callers at once: a list of `{"bike_id", "trip_id", "rider_id"}`."""
        return self._together(operations.check_out, load_calls(schemas.CheckOutSchema(), calls))

    @rpc
    def check_in(self, bike_id: Any, trip_id: Any) -> Json:
        """Free the bike if it is checked out for this very trip: `{"released": bool}`."""
        checked_in: Json = only(self.check_in_many([{"bike_id": bike_id, "trip_id": trip_id}]))
        return checked_in

    @rpc_many
    def check_in_many(self, calls: Any) -> Sequence[Any]:
        """`check_in` for many callers at once: a list of `{"bike_id", "trip_id"}`."""
        return self._together(operations.check_in, load_calls(schemas.CheckInSchema(), calls))

    def _together(self, operation: Any, calls: Sequence[Any]) -> Sequence[Any]:
        def work(good: Any) -> Sequence[Any]:
            with self.db.get_session() as session:
                outcomes: Sequence[Any] = operation(session, good)
            return outcomes

        return together(work, calls)

    @rpc
    def check_outs(self, older_than_s: Any = None, limit: Any = None, cursor: Any = None) -> Json:
        """`{"items": [{"bike_id", "trip_id", "rider_id", "checked_out_at", "age_s"}], "next"}` by bike id."""
        loaded = load_arguments(schemas.CheckOutsSchema(), older_than_s=older_than_s, limit=limit, cursor=cursor)
        with self.db.get_session() as session:
            return operations.check_outs(session, loaded["older_than_s"], loaded["limit"], loaded.get("cursor"))

    @rpc
    def health(self) -> Json:
        """`{"status": "ok"}` once the database has answered; Unavailable when it does not."""
        with self.db.get_session() as session:
            session.execute(text("SELECT 1"))
        return {"status": "ok"}

    @event_handler_many("trip_service", "trip_ended")
    def on_trip_ended(self, events: Sequence[Event]) -> None:
        self._free(events)

    @event_handler_many("trip_service", "trip_cancelled")
    def on_trip_cancelled(self, events: Sequence[Event]) -> None:
        self._free(events)

    def _free(self, events: Sequence[Event]) -> None:
        ended = list(map(schemas.ended_trip, events, origins.current(len(events))))
        with self.db.get_session() as session:
            operations.free_after_trips(session, ended)

    @batch_consume(queue_of("bike_service"))
    def take_positions(self, deliveries: Sequence[Delivery]) -> Sequence[DeadLetter]:
        with self.db.get_session() as session:
            moved, letters = operations.take_positions(session, deliveries)
        self.moves.tell(moved)
        return letters

    @timer(interval=300)
    def forget_old(self) -> None:
        with self.db.get_session() as session:
            operations.forget_old(session)
