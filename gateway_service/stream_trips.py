"""Which bike is in which trip: as events tell, and after a gap as trip_service does."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import eventlet
from nameko.exceptions import RemoteError

from shared import tracing
from shared.errors import DomainError
from shared.paging import MAX_LIMIT
from shared.rpc_proxy import RpcClient, ServiceProxy

log = logging.getLogger(__name__)

Json = dict[str, Any]
ACTIVE = "active"
# An end may be heard before its start, and while the active trips are being listed.
ENDED_TRIPS = 10_000
CALL_TIMEOUT_S = 5.0
AGAIN_S = 5.0

ListPage = Callable[[str | None], Json]
"""From a cursor, None for the first, to a page of active trips; raises what RPC does."""


class ActiveTrips:
    """As far as this process knows."""

    def __init__(self) -> None:
        self._trip_of: dict[str, str] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._gaps = 0

    def of(self, bike_id: str) -> str | None:
        """The trip that the bike is in."""
        return self._trip_of.get(bike_id)

    def note(self, trip: Json) -> None:
        """Take a trip as an event or trip_service has it."""
        trip_id, bike_id = trip["id"], str(trip.get("bike_id"))
        if trip.get("status") == ACTIVE:
            if trip_id not in self._ended:
                self._trip_of[bike_id] = trip_id
            return
        if self._trip_of.get(bike_id) == trip_id:
            del self._trip_of[bike_id]
        self._ended[trip_id] = None
        while len(self._ended) > ENDED_TRIPS:
            self._ended.popitem(last=False)

    def forget(self) -> None:
        """Ends may have been missed."""
        self._gaps += 1
        self._trip_of.clear()
        self._ended.clear()

    def load(self, list_page: ListPage) -> None:
        """Take all that are active now, however long that takes; until the next gap, which has a load of its own."""
        gap = self._gaps
        while self._gaps == gap:
            try:
                self._load(list_page, gap)
                return
            except (DomainError, RemoteError) as error:
                log.info("the active trips cannot be listed", extra={"reason": repr(error), "retry_in_s": AGAIN_S})
            eventlet.sleep(AGAIN_S)

    def _load(self, list_page: ListPage, gap: int) -> None:
        cursor: str | None = None
        while True:
            page = list_page(cursor)
            if self._gaps != gap:
                return
            for trip in page["items"]:
                self.note(trip)
            cursor = page["next"]
            if cursor is None:
                return


def pages_in(container: Any) -> ListPage:
    """The active trips as trip_service lists them to the service in `container`, which can call it; newest first."""
    clients = [each for each in container.dependencies if isinstance(each, RpcClient)]
    client = next(each for each in clients if each.target_service == "trip_service")
    context: dict[str, Any] = {}
    proxy = ServiceProxy(client, SimpleNamespace(data=context, context_data=context), CALL_TIMEOUT_S)

    def list_page(cursor: str | None) -> Json:
        with tracing.spans().untraced():
            page: Json = proxy.list(status=ACTIVE, limit=MAX_LIMIT, cursor=cursor)
        return page

    return list_page
