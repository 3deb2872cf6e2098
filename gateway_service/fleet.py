"""The fleet in memory, one for each gateway process: who reads it causes no call of another service.

It is fetched at the start and after a gap, and then kept fresh by what is heard from the broker.
"""

import logging
import time
from types import SimpleNamespace
from typing import Any

import eventlet
from eventlet.event import Event

from gateway_service.fleet_view import FleetView
from gateway_service.metrics import FLEET_AGE, FLEET_BIKES
from shared import tracing
from shared.errors import Invalid
from shared.listener import Listener
from shared.moves import Move
from shared.rpc_proxy import RpcClient

log = logging.getLogger(__name__)

PAGE = 10_000
CALL_LIMIT_S = 10.0
# Changes gather for so long, then they are fetched together.
GATHER_S = 0.3
# In case that something was missed all the same; and what was heard so long ago is settled.
RELOAD_S = 600.0
MAX_BACKOFF_S = 5.0
BIKE_EVENTS = frozenset({"bike_added", "bike_changed", "bike_retired"})


class Fleet(RpcClient):
    """Keeps `view`, and knows how current that is."""

    listener = Listener()

    def __init__(self) -> None:
        super().__init__("bike_service")
        self.view = FleetView()
        self._main: Any = None
        # Gaps that there were, and those of them that a load has made good.
        self._gaps, self._mended = 1, 0
        self._loaded_at = float("-inf")
        self._first = Event()
        # By bike since when (monotonic) something is known to have changed that has not been fetched yet.
        self._changed: dict[str, float] = {}
        self._heard_at = float("-inf")
        self._aged_at = time.monotonic()

    def setup(self) -> None:
        super().setup()
        FLEET_BIKES.set_function(lambda: len(self.view))
        FLEET_AGE.set_function(lambda: self.age_s if self.is_loaded else float("nan"))

    def start(self) -> None:
        super().start()
        self.listener.subscribe(self._on_event, self._on_moves, self._on_gap)
        self._main = eventlet.spawn(self._run)

    def stop(self) -> None:
        if self._main is not None:
            self._main.kill()
        super().stop()

    @property
    def is_loaded(self) -> bool:
        return self._first.ready()

    def wait_loaded(self, seconds: float) -> bool:
        """Wait for the first load, so long at most; returns whether it is done."""
        if not self.is_loaded:
            with eventlet.Timeout(seconds, False):
                self._first.wait()
        return self.is_loaded

    @property
    def age_s(self) -> float:
        """Seconds since the view was known to be complete: of what happened before then nothing is missing."""
        self._note_heard()
        return time.monotonic() - min([self._heard_at, *self._changed.values()])

    def _note_heard(self) -> None:
        if self.listener.is_connected and self._mended == self._gaps:
            self._heard_at = max(self._heard_at, self.listener.heard_at)

    def _on_event(self, kind: str, event: dict[str, Any]) -> None:
        data = event["data"]
        if kind in BIKE_EVENTS and self.view.hear_of_change(data["id"], data["revision"], data.get("status", "")):
            self._changed.setdefault(data["id"], time.monotonic())

    def _on_moves(self, moves: list[Move]) -> None:
        # In a gap a check-out may have been missed, and nobody may watch a ride under its bike's old id.
        self.view.hear_positions(moves, moves=self._mended == self._gaps)

    def _on_gap(self) -> None:
        self._gaps += 1

    def _run(self) -> None:
        backoff = GATHER_S
        while True:
            try:
                self._note_heard()
                is_due = time.monotonic() > self._loaded_at + RELOAD_S
                if self.listener.is_connected and (is_due or self._mended != self._gaps):
                    self._load()
                elif self._changed:
                    self._refresh()
                backoff = GATHER_S
            except Exception as error:  # whatever it is, the next try may succeed, and the view says its age
                log.warning("the fleet could not be fetched", extra={"reason": repr(error), "retry_in_s": backoff})
                backoff = min(backoff * 2, MAX_BACKOFF_S)
            eventlet.sleep(backoff)

    def _load(self) -> None:
        """Fetch all bikes. What changes meanwhile is heard, and fetched afterwards."""
        began, gaps = time.monotonic(), self._gaps
        page = self._ask("feed", rows=PAGE)
        found = self.view.merge(page["items"])
        while page["next"] is not None:
            page = self._ask("feed", after=page["next"], rows=PAGE)
            found |= self.view.merge(page["items"])
        self.view.keep_only(found)
        if began > self._aged_at + RELOAD_S:
            self.view.age_heard()
            self._aged_at = began
        self._loaded_at, self._mended = began, gaps
        if not self.is_loaded:
            log.info(
                "the fleet is there", extra={"bikes": len(self.view), "seconds": round(time.monotonic() - began, 3)}
            )
            self._first.send(None)

    def _refresh(self) -> None:
        """Fetch together what has changed."""
        ids = list(self._changed)[:PAGE]
        asked = {bike_id: self._changed.pop(bike_id) for bike_id in ids}
        try:
            rows = self._ask("feed_of", bike_ids=ids)["items"]
        except Invalid:
            # Asking for the same again would fail again.
            self._gaps += 1
            raise
        except BaseException:  # also when it is stopped; raised again
            # What has changed once more meanwhile has done so since the first time.
            self._changed |= asked
            raise
        self.view.forget(asked.keys() - self.view.merge(rows))

    def _ask(self, method: str, **arguments: Any) -> Any:
        context: dict[str, Any] = {}
        with tracing.spans().untraced():
            return self.call(SimpleNamespace(data=context, context_data=context), CALL_LIMIT_S, method, **arguments)
