"""trip_service as the gateway sees it: the only place where its remote methods are spelled."""

import uuid
from collections.abc import Callable
from typing import Any

from shared.fields import format_time

Trip = dict[str, Any]


class TripService:
    """Every method raises the domain errors of `shared.errors`, Unavailable and DeadlineExceeded included.

    `rider_id`: the rider whose trips alone are known; None for an operator.
    """

    def __init__(
        self,
        rpc: Any,
        timeout: float,
        start_one: Callable[..., Any] | None = None,
        end_one: Callable[..., Any] | None = None,
    ) -> None:
        """`rpc`: a `shared.rpc_proxy.ServiceProxy`; `timeout`: seconds for each call.

        `start_one`, `end_one`: `shared.rpc_batch.BatchProxy` of `start_many` and `end_many`: rides travel together.
        """
        self._rpc = rpc.with_timeout(timeout)
        self._start_one, self._end_one, self._timeout = start_one, end_one, timeout

    def start(self, bike_id: str, rider_id: str, idempotency_key: str | None) -> tuple[Trip, bool]:
        """The trip, and whether this is the kept answer to an earlier call with the same key."""
        assert self._start_one is not None, "given where trips are started"
        trip = self._start_one(
            self._timeout,
            bike_id=bike_id,
            rider_id=rider_id,
            # The id comes from here, so that a call that is delivered twice starts one trip.
            trip_id=str(uuid.uuid4()),
            idempotency_key=idempotency_key,
        )
        replayed = bool(trip.pop("replayed", False))
        return trip, replayed

    def end(self, trip_id: str, location: dict[str, Any] | None, rider_id: str | None) -> Trip:
        assert self._end_one is not None, "given where trips are ended"
        trip: Trip = self._end_one(self._timeout, trip_id=trip_id, location=location, rider_id=rider_id)
        return trip

    def cancel(self, trip_id: str) -> Trip:
        trip: Trip = self._rpc.cancel(trip_id)
        return trip

    def get(self, trip_id: str, rider_id: str | None) -> Trip:
        trip: Trip = self._rpc.get(trip_id, rider_id=rider_id)
        return trip

    def list(self, viewing_rider: str | None, filters: dict[str, Any]) -> dict[str, Any]:
        """A page, newest first: status, bike_id, rider_id, started_after, started_before, limit, cursor."""
        if viewing_rider is not None and filters.setdefault("rider_id", viewing_rider) != viewing_rider:
            return {"items": [], "next": None}
        for name in ("started_after", "started_before"):
            if name in filters:
                filters[name] = format_time(filters[name])
        page: dict[str, Any] = self._rpc.list(**filters)
        return page

    def route(self, trip_id: str, rider_id: str | None) -> dict[str, Any]:
        """A GeoJSON Feature."""
        feature: dict[str, Any] = self._rpc.route(trip_id, rider_id=rider_id)
        return feature

    def check(self) -> None:
        """Raises unless the service and its database answer."""
        self._rpc.health()
