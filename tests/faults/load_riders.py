"""Riders who rent bikes: start, report positions, read, end or have it cancelled; again until they are told to stop."""

import random
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from tests.faults.caller import Answer, Caller
from tests.faults.load_positions import PositionSource

Json = dict[str, Any]
# How long a rider, told to stop, still tries to end what he has begun.
LAST_TRIES_S = 25.0
PAUSES_S = 0.05, 0.15


class Rider(threading.Thread):
    """One rider with a token of his own; the bikes report through him with theirs."""

    def __init__(
        self,
        caller: Callable[[str, str], Caller],
        bikes: list[str],
        positions: PositionSource,
        stop: threading.Event,
        rng: random.Random,
    ) -> None:
        super().__init__(daemon=True)
        self._caller, self._bikes, self._positions, self._stopped, self._rng = caller, bikes, positions, stop, rng
        self._me = caller("rider", str(uuid.uuid4()))
        self._operator = caller("operator", "operator")
        self._vehicles: dict[str, Caller] = {}
        self._give_up_at: float | None = None

    def run(self) -> None:
        while not self._stopped.is_set():
            trip = self._start()
            if trip is not None:
                self._ride(trip)
            self._pause()

    def _start(self) -> Json | None:
        """The trip that a start led to; None when it was refused."""
        bike_id, key = self._rng.choice(self._bikes), str(uuid.uuid4())
        answer = self._insist(
            lambda: self._me.call("start", "POST", "/v1/trips", {"bike_id": bike_id}, key=key, bike_id=bike_id)
        )
        if answer.outcome == 201:
            return dict(answer.body)
        if answer.outcome == 409 and answer.body["detail"] == "The rider has an active trip.":
            return self._forgotten_trip()
        return None

    def _forgotten_trip(self) -> Json | None:
        """The active trip of an earlier start whose answer never came."""
        path = f"/v1/trips?status=active&rider_id={quote(self._me.subject)}"
        answer = self._insist(lambda: self._me.call("list", "GET", path))
        return dict(answer.body["items"][0]) if answer.outcome == 200 and answer.body["items"] else None

    def _ride(self, trip: Json) -> None:
        for _ in range(self._rng.randint(0, 2)):
            if self._stopped.is_set():
                break
            self._pause()
            self._report(trip["bike_id"])
        if self._rng.random() < 0.3:
            self._me.call("read", "GET", f"/v1/trips/{trip['id']}", trip_id=trip["id"])
        if self._rng.random() < 0.1:
            self._operator.call("read_bike", "GET", f"/v1/bikes/{trip['bike_id']}")
        if self._rng.random() < 0.15:
            path, op, who = f"/v1/trips/{trip['id']}/cancel", "cancel", self._operator
        else:
            path, op, who = f"/v1/trips/{trip['id']}/end", "end", self._me
        self._insist(lambda: who.call(op, "POST", path, trip_id=trip["id"]))

    def _report(self, bike_id: str) -> None:
        if bike_id not in self._vehicles:
            self._vehicles[bike_id] = self._caller("vehicle", bike_id)
        positions = [self._positions.next(bike_id) for _ in range(self._rng.randint(1, 3))]
        sent = {"positions": [{k: v for k, v in each.items() if k != "bike_id"} for each in positions]}
        self._vehicles[bike_id].call("report", "POST", f"/v1/bikes/{bike_id}/positions", sent, bike_id=bike_id)

    def _insist(self, attempt: Callable[[], Answer]) -> Answer:
        """Try again, as a telephone does, until the answer is one."""
        while True:
            answer = attempt()
            passing = answer.outcome in (409, 503, 504) and answer.retry_after is not None
            if not passing and isinstance(answer.outcome, int) and answer.outcome < 500:
                return answer
            if self._stopped.is_set():
                self._give_up_at = self._give_up_at or time.monotonic() + LAST_TRIES_S
                if time.monotonic() > self._give_up_at:
                    return answer
            time.sleep(self._rng.uniform(0.1, 0.4))  # as a client that tries again

    def _pause(self) -> None:
        time.sleep(self._rng.uniform(*PAUSES_S))  # a rider is no benchmark
