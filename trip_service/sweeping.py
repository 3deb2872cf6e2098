"""The sweepers: whatever went wrong, bike and trip agree within 30 s, and no trip runs for ever."""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.errors import Conflict, DomainError, NotFound
from shared.validation import load
from trip_service import operations, schemas
from trip_service.domain import Status, Tariff
from trip_service.metrics import CHECK_OUTS_AGAIN, RELEASES
from trip_service.models import Trip
from trip_service.renting import Renting
from trip_service.repositories import Trips

log = logging.getLogger(__name__)

# A start takes no longer; twice this and a sweep's own time stay under the 30 s promised.
MINIMUM_AGE_S = 15.0
PAGE = 500


class Sweeper:
    """Compares check-outs with trips, and looks for trips that nobody ends."""

    def __init__(self, transaction: Callable[[], Any], bikes: Any) -> None:
        self.transaction, self.bikes = transaction, bikes
        self.renting = Renting(transaction, bikes)

    def reconcile(self, minimum_age_s: float = MINIMUM_AGE_S) -> None:
        """Release check-outs without an active trip, and check out again the bikes of active trips without one."""
        # The trips are read first: one whose check-out is missing from the later list has really lost it, or ended.
        started_before = datetime.now(UTC) - timedelta(seconds=minimum_age_s)
        active = {trip.id: trip for trip in self._active_trips()}
        checked_out = list(self._check_outs())
        for check_out in checked_out:
            if check_out["trip_id"] not in active and check_out["age_s"] >= minimum_age_s:
                self._try(self._release_if_stray, check_out)
        for trip_id in active.keys() - {check_out["trip_id"] for check_out in checked_out}:
            if active[trip_id].started_at <= started_before:
                self._try(self._check_out_again, active[trip_id])

    def _try(self, mend: Callable[[Any], None], what: Any) -> None:
        """One that cannot be mended now must not keep the others from it; the next sweep tries again."""
        try:
            mend(what)
        except DomainError as error:
            log.warning("a check-out could not be put right", extra={"reason": str(error)})

    def _active_trips(self) -> Iterator[Trip]:
        after: str | None = None
        while True:
            with self.transaction() as session:
                trips = Trips(session).active(after, PAGE)
            yield from trips
            if len(trips) < PAGE:
                return
            after = trips[-1].id

    def _check_outs(self) -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        while True:
            answer = self.bikes.check_outs(limit=PAGE, cursor=cursor)
            yield from load(schemas.CheckOutSchema(many=True), answer["items"])
            cursor = answer["next"]
            if cursor is None:
                return

    def _release_if_stray(self, check_out: dict[str, Any]) -> None:
        with self.transaction() as session:
            # Decided by the database: either the trip is there, or it can never come.
            status = Trips(session).entomb(check_out["trip_id"], check_out["bike_id"], check_out["rider_id"])
        if status != Status.ACTIVE:
            log.warning("a stray check-out is released", extra={**check_out, "rider_id": None, "trip_status": status})
            if self.bikes.check_in(check_out["bike_id"], check_out["trip_id"])["released"]:
                RELEASES.inc()

    def _check_out_again(self, trip: Trip) -> None:
        if not self._is_active(trip):
            return
        log.warning("the bike of an active trip is checked out again", extra={"trip_id": trip.id})
        try:
            self.bikes.check_out(trip.bike_id, trip.id, trip.rider_id)
            CHECK_OUTS_AGAIN.inc()
        except (Conflict, NotFound) as error:
            log.error(
                "an active trip has no bike", extra={"trip_id": trip.id, "bike_id": trip.bike_id, "reason": str(error)}
            )
        if not self._is_active(trip):
            self.renting.check_in([(trip.bike_id, trip.id)])

    def _is_active(self, trip: Trip) -> bool:
        with self.transaction() as session:
            now = Trips(session).get(trip.id)
        return now is not None and now.status == Status.ACTIVE

    def end_forgotten(self, timeout: timedelta, tariff: Tariff) -> None:
        """End the trips that have had neither a position nor an end for `timeout`."""
        since = datetime.now(UTC) - timeout
        with self.transaction() as session:
            forgotten = Trips(session).forgotten(since, PAGE)
        for trip_id in forgotten:
            with self.transaction() as session:
                ended = operations.end_forgotten(session, trip_id, since, tariff)
            if ended is not None:
                log.warning("a forgotten trip is ended", extra={"trip_id": trip_id})
                self.renting.check_in([(ended["bike_id"], trip_id)])
