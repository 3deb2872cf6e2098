"""`vehicle_status.json` as it is served: built when asked for, once a second at most, and shared by all who ask."""

import logging
import time
from typing import Protocol

import eventlet
from eventlet.event import Event

from gateway_service.fleet_view import FleetView
from gateway_service.gbfs_body import Body
from gateway_service.gbfs_vehicles import VehicleWriter
from gateway_service.metrics import FEED_BUILDS
from shared.errors import Unavailable

log = logging.getLogger(__name__)

BUILD_PAUSE_S = 1.0
# An answer of this age is given while the next is built; whoever asks for the first time in a while waits for it.
FRESH_S = 2.0
MAX_AGE_S = 300.0
LOAD_WAIT_S = 2.0
RETRY_AFTER_S = 5


class KnownFleet(Protocol):
    """`gateway_service.fleet.Fleet`, as far as it is needed here."""

    view: FleetView

    @property
    def age_s(self) -> float: ...

    def wait_loaded(self, seconds: float) -> bool: ...


class VehicleFeed:
    """`ttl_s`: after so many seconds without a change the document is built anew, to say that it is still so."""

    def __init__(self, fleet: KnownFleet, writer: VehicleWriter, ttl_s: int) -> None:
        self._fleet, self._writer, self._ttl_s = fleet, writer, max(ttl_s, 1)
        self._body: Body | None = None
        self._version, self._as_of, self._begun_at = -1, 0.0, float("-inf")
        self._building: Event | None = None

    def current(self) -> Body:
        """The document; raises Unavailable when the fleet is not known, or was not for the last five minutes."""
        fleet = self._fleet
        if not fleet.wait_loaded(LOAD_WAIT_S):
            raise Unavailable("The fleet is not known yet.", {"retry_after": RETRY_AFTER_S})
        if fleet.age_s > MAX_AGE_S:
            raise Unavailable("The fleet has not been heard of for too long.", {"retry_after": RETRY_AFTER_S})
        age = time.monotonic() - self._begun_at
        if self._body is not None and (age < BUILD_PAUSE_S or not self._is_outdated()):
            return self._body
        if self._building is None:
            self._building = Event()
            eventlet.spawn_n(self._build, self._building)
        if self._body is not None and age < FRESH_S:
            return self._body
        body: Body = self._building.wait()
        return body

    def _is_outdated(self) -> bool:
        return self._version != self._fleet.view.version or time.time() - self._fleet.age_s >= self._as_of + self._ttl_s

    def _build(self, done: Event) -> None:
        """Build it for all who wait for `done`; an error is theirs."""
        try:
            began, version, as_of = time.monotonic(), self._fleet.view.version, time.time() - self._fleet.age_s
            body = self._writer.build(self._fleet.view.in_order(), as_of)
            FEED_BUILDS.observe(time.monotonic() - began)
            self._body, self._version, self._as_of, self._begun_at = body, version, as_of, began
        except Exception as error:
            log.exception("the feed could not be built")
            self._building = None
            done.send_exception(error)
        else:
            self._building = None
            done.send(body)
