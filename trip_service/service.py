"""The rides as a service.

RPC methods take plain values (ids as UUID strings, a location as a GeoJSON Point, times as RFC 3339 text) and answer
with the trip of the contract: `{"id", "bike_id", "rider_id", "status", "started_at", "ended_at", "ended_by",
"start_location", "end_location", "distance_m", "duration_s", "fare"}`. They raise the errors of `shared.errors`:
Invalid (with `errors` by field), NotFound, Conflict, Unavailable, DeadlineExceeded. Those that write are idempotent
under the id that the caller gives.

Where a method takes a `rider_id`, only that rider's trips are known; without it the caller is trusted.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from nameko.dependency_providers import Config
from nameko.timer import timer
from sqlalchemy import text

from shared.batch import DeadLetter, Delivery, batch_consume
from shared.census import Census
from shared.database import Database
from shared.log import WorkerLog
from shared.outbox import OutboxRelay
from shared.positions import queue_of
from shared.positions_topology import PositionsTopology
from shared.rpc import rpc
from shared.rpc_batch import rpc_many
from shared.rpc_proxy import RpcProxy
from shared.timer_metrics import TimerMetrics
from shared.together import only, together
from shared.validation import load_arguments, load_calls
from shared.worker_traces import Traces
from trip_service import operations, schemas
from trip_service.models import Base, Outbox
from trip_service.renting import Renting
from trip_service.repositories import count_active
from trip_service.settings import Settings
from trip_service.sweeping import Sweeper

Json = dict[str, Any]


class TripService:
    """Knows the rides."""

    name = "trip_service"

    log = WorkerLog()
    traces = Traces()
    config = Config()
    db = Database(Base)
    relay = OutboxRelay(Base, Outbox)
    topology = PositionsTopology()
    timers = TimerMetrics()
    riding = Census("active_trips", "Trips that have not ended.", count_active)
    bikes = RpcProxy("bike_service")

    @property
    def settings(self) -> Settings:
        settings: Settings = self.config["SETTINGS"]
        return settings

    @property
    def transaction(self) -> Callable[[], Any]:
        return partial(self.db.get_session, close_on_exit=True)

    @rpc
    def start(self, bike_id: Any, rider_id: Any, trip_id: Any = None, idempotency_key: Any = None) -> Json:
        """Rent a bike. With `idempotency_key` the answer also has `replayed`.

        NotFound: no such bike. Conflict: the bike is not available, or the rider has an active trip.
        """
        call = {"bike_id": bike_id, "rider_id": rider_id, "trip_id": trip_id, "idempotency_key": idempotency_key}
        trip: Json = only(self.start_many([call]))
        return trip

    @rpc_many
    def start_many(self, calls: Any) -> Sequence[Any]:
        """`start` for many callers at once: a list of `{"bike_id", "rider_id", "trip_id", "idempotency_key"}`."""
        return together(Renting(self.transaction, self.bikes).start, load_calls(schemas.StartSchema(), calls))

    @rpc
    def end(self, trip_id: Any, location: Any = None, rider_id: Any = None) -> Json:
        """End a trip, at `location` or where its bike was last. Again: the same answer. Conflict: cancelled."""
        trip: Json = only(self.end_many([{"trip_id": trip_id, "location": location, "rider_id": rider_id}]))
        return trip

    @rpc_many
    def end_many(self, calls: Any) -> Sequence[Any]:
        """`end` for many callers at once: a list of `{"trip_id", "location", "rider_id"}`."""
        loaded = load_calls(schemas.EndSchema(), calls)
        outcomes = together(self._end, loaded)
        ended = [
            (trip["bike_id"], trip["id"], call["origin"])
            for call, trip in zip(loaded, outcomes, strict=True)
            if not isinstance(call, Exception) and not isinstance(trip, Exception)
        ]
        Renting(self.transaction, self.bikes).check_in([each[:2] for each in ended], [each[2] for each in ended])
        return outcomes

    def _end(self, calls: Sequence[Any]) -> Sequence[Any]:
        with self.transaction() as session:
            return operations.end(session, calls, self.settings.tariff)

    @rpc
    def cancel(self, trip_id: Any) -> Json:
        """Cancel a trip: no fare, the bike is free again. Again: the same answer. Conflict: it has ended."""
        loaded = load_arguments(schemas.TripIdSchema(), trip_id=trip_id)
        with self.transaction() as session:
            trip = operations.cancel(session, loaded["trip_id"])
        Renting(self.transaction, self.bikes).check_in([(trip["bike_id"], trip["id"])])
        return trip

    @rpc
    def get(self, trip_id: Any, rider_id: Any = None) -> Json:
        """The trip."""
        loaded = load_arguments(schemas.TripIdSchema(), trip_id=trip_id, rider_id=rider_id)
        with self.transaction() as session:
            return operations.get(session, loaded["trip_id"], loaded.get("rider_id"))

    @rpc
    def list(
        self,
        status: Any = None,
        bike_id: Any = None,
        rider_id: Any = None,
        started_after: Any = None,
        started_before: Any = None,
        limit: Any = None,
        cursor: Any = None,
    ) -> Json:
        """`{"items": [...], "next": cursor | None}`, newest first."""
        criteria = load_arguments(
            schemas.ListSchema(),
            status=status,
            bike_id=bike_id,
            rider_id=rider_id,
            started_after=started_after,
            started_before=started_before,
            limit=limit,
            cursor=cursor,
        )
        with self.transaction() as session:
            return operations.list_page(session, dict(criteria))

    @rpc
    def route(self, trip_id: Any, rider_id: Any = None) -> Json:
        """The way taken: a GeoJSON Feature with a LineString and `properties.recorded_at`."""
        loaded = load_arguments(schemas.TripIdSchema(), trip_id=trip_id, rider_id=rider_id)
        with self.transaction() as session:
            return operations.route(session, loaded["trip_id"], loaded.get("rider_id"))

    @rpc
    def health(self) -> Json:
        """`{"status": "ok"}` once the database has answered; Unavailable when it does not."""
        with self.transaction() as session:
            session.execute(text("SELECT 1"))
        return {"status": "ok"}

    @batch_consume(queue_of("trip_service"))
    def take_positions(self, deliveries: Sequence[Delivery]) -> Sequence[DeadLetter]:
        return operations.take_positions(self.transaction, deliveries, self.settings.position_retention)

    @timer(interval=10)
    def reconcile(self) -> None:
        Sweeper(self.transaction, self.bikes).reconcile()

    @timer(interval=60)
    def end_forgotten(self) -> None:
        Sweeper(self.transaction, self.bikes).end_forgotten(self.settings.trip_timeout, self.settings.tariff)

    @timer(interval=3600, eager=True)
    def keep_partitions(self) -> None:
        operations.keep_partitions(self.transaction, self.settings.position_retention)

    @timer(interval=300)
    def forget_old(self) -> None:
        with self.transaction() as session:
            operations.forget_old(session)
