"""The live stream of a gateway process: what the broker tells every gateway, to everybody who reads here."""

import logging
import secrets
import time
from typing import Any

import eventlet
from nameko.extensions import DependencyProvider

from gateway_service.stream_feed import Feed
from gateway_service.stream_ring import Box, Item, Ring, batch
from gateway_service.stream_trips import pages_in
from shared import sse
from shared.http_reader import MAX_WAITING
from shared.http_readers import Readers, room_for
from shared.http_server import HttpServer
from shared.http_stream import StreamAnswer
from shared.listener import Listener

log = logging.getLogger(__name__)

TICK_S = 0.25
# What an eye needs of a moving bike.
POSITIONS_S = 1.0
HEARTBEAT_S = 15.0
LOOK_S = 1.0
# While some have not taken all that is theirs.
BEHIND_S = 0.02
# So long after the last reader has gone it may come back and go on.
KEPT_S = 60.0
# The readers of a gateway that ends come back to the others, but not all at once.
RETRY_MS, RETRY_SPREAD_MS = 1000, 3000
UNKNOWN_ID, GAP = "unknown_id", "gap"


class LiveStream(DependencyProvider):
    """Injects itself: `open(box, last_event_id)` answers a request for the stream."""

    listener = Listener()
    server = HttpServer()

    def __init__(self) -> None:
        super().__init__()
        self._readers = Readers(0)
        self._ring = Ring()
        self._feed = Feed(self._ring)
        self._main: Any = None
        self._loading: Any = None
        self._has_gap = False
        self._wanted_until = 0.0
        self._positions_at = self._heartbeat_at = self._look_at = 0.0

    def setup(self) -> None:
        self._readers.limit = room_for(self.container.config["SETTINGS"].stream_readers)
        self.listener.subscribe(self._feed.on_event, self._feed.on_moves, self._on_gap)
        self.server.when_draining(self._readers.end_all)

    def start(self) -> None:
        self._main = eventlet.spawn(self._run)

    def stop(self) -> None:
        for each in (self._main, self._loading):
            if each is not None:
                each.kill()
        self._main = self._loading = None
        self._readers.end_all()

    kill = stop

    def get_dependency(self, worker_ctx: Any) -> "LiveStream":
        return self

    def open(self, box: Box | None, last_event_id: str | None) -> StreamAnswer:
        """`box` None: everywhere. `last_event_id`: the last that this reader has got, if it comes back."""
        return StreamAnswer(self._readers, box, lambda: self._first(box, last_event_id))

    def _first(self, box: Box | None, last_event_id: str | None) -> bytes:
        # It is a reader from this moment on; what has come and is not flushed yet is on its way to it too.
        self._want()
        opening = sse.opening(self._ring.newest_id, RETRY_MS + secrets.randbelow(RETRY_SPREAD_MS))
        if not last_event_id:
            return opening
        missed = self._ring.since(last_event_id)
        replay = batch(missed, box) if missed is not None else b""
        if missed is None or len(replay) > MAX_WAITING:
            return opening + self._feed.reset(UNKNOWN_ID)
        return replay + opening

    def _want(self) -> None:
        self._feed.wanted = True
        self._wanted_until = time.monotonic() + KEPT_S

    def _on_gap(self) -> None:
        self._feed.forget()
        self._has_gap = True
        if self._loading is not None:
            self._loading.kill()
        self._loading = eventlet.spawn(self._feed.trips.load, pages_in(self.container))

    def _run(self) -> None:
        tick_at = time.monotonic()
        while True:
            eventlet.sleep(BEHIND_S if self._readers.are_behind else max(tick_at - time.monotonic(), 0))
            try:
                self._readers.push()
                if time.monotonic() >= tick_at:
                    tick_at = time.monotonic() + TICK_S
                    self._tick(time.monotonic())
            except Exception:  # without this loop nobody sees anything
                log.exception("a tick of the stream failed")

    def _tick(self, now: float) -> None:
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            self._readers.look_after()
        if self._readers:
            self._want()
        elif self._feed.wanted and now >= self._wanted_until:
            self._feed.wanted = False
            self._feed.drop()
        if self._has_gap:
            self._has_gap = False
            reset = self._feed.reset(GAP)
            self._readers.broadcast(lambda box: reset)
        self._send_changes(now)
        if now >= self._heartbeat_at:
            self._heartbeat_at = now + HEARTBEAT_S
            heartbeat = sse.heartbeat(self._ring.newest_id)
            self._readers.broadcast(lambda box: heartbeat)

    def _send_changes(self, now: float) -> None:
        if not self._feed.wanted:
            return
        with_positions = now >= self._positions_at
        if with_positions:
            self._positions_at = now + POSITIONS_S
        items: list[Item] = self._feed.flush(with_positions)
        if items:
            self._readers.broadcast(lambda box: batch(items, box))
