"""bike_service as the gateway sees it: the only place where its remote methods are spelled."""

import uuid
from collections.abc import Callable
from typing import Any

import msgspec

from gateway_service.auth import Viewer

Bike = dict[str, Any]
JsonText = msgspec.Raw
"""The JSON of a bike, or of a page of them, as bike_service has written it."""


class BikeService:
    """Every method raises the domain errors of `shared.errors`, Unavailable and DeadlineExceeded included."""

    def __init__(
        self,
        rpc: Any,
        timeout: float,
        get_one: Callable[..., Any] | None = None,
        near_one: Callable[..., Any] | None = None,
    ) -> None:
        """`rpc`: a `shared.rpc_proxy.ServiceProxy`; `timeout`: seconds for each call.

        `get_one`, `near_one`: a `shared.rpc_batch.BatchProxy` of `get_many` and one of `near_many`, through which reads
        travel together.
        """
        self._rpc = rpc.with_timeout(timeout)
        self._get_one, self._near_one = get_one, near_one
        self._timeout = timeout

    def add(self, bike: dict[str, Any], subject: str, idempotency_key: str | None) -> tuple[Bike, bool]:
        """The bike, and whether this is the kept answer to an earlier call with the same key."""
        # The id comes from here, so that a call that is delivered twice adds one bike.
        identified = {**bike, "id": str(uuid.uuid4())}
        added = self._rpc.add(identified, subject=subject, idempotency_key=idempotency_key)
        replayed = bool(added.pop("replayed", False))
        return added, replayed

    def add_many(self, bikes: list[dict[str, Any]]) -> dict[str, Any]:
        """`{"items": [bike, ...]}`, in the order given; all or nothing."""
        result: dict[str, Any] = self._rpc.add_many([{"id": str(uuid.uuid4()), **bike} for bike in bikes])
        return result

    def get(self, bike_id: str, viewer: Viewer) -> JsonText:
        assert self._get_one is not None, "given where bikes are read"
        bike: JsonText = self._get_one(self._timeout, bike_id=bike_id, viewer=viewer)
        return bike

    def list(self, viewer: Viewer, filters: dict[str, Any]) -> dict[str, Any]:
        """A page: status, bbox, limit, cursor."""
        page: dict[str, Any] = self._rpc.list(viewer=viewer, **filters)
        return page

    def near(self, viewer: Viewer, place: dict[str, Any]) -> JsonText:
        """Nearest first: lat, lon, radius, status, limit."""
        assert self._near_one is not None, "given where bikes are read"
        page: JsonText = self._near_one(self._timeout, viewer=viewer, **place)
        return page

    def change(self, bike_id: str, changes: dict[str, Any]) -> Bike:
        bike: Bike = self._rpc.change(bike_id, changes)
        return bike

    def retire(self, bike_id: str) -> None:
        self._rpc.retire(bike_id)

    def check(self) -> None:
        """Raises unless the service and its database answer."""
        self._rpc.health()
