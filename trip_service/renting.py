"""Starting a trip: the one piece of work that spans two services and two databases.

First bike_service gives the bike to the trip's id (its conditional update is the only judge of who gets it), then
the trip is inserted. A process that dies in between leaves a check-out without a trip; `sweeping` puts it right, or
the same call, repeated under the same id, goes on where it ended.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from nameko.exceptions import RemoteError
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from shared import idempotency
from shared.errors import Conflict, DomainError, NotFound, Unavailable
from shared.outage import is_outage
from shared.validation import load
from trip_service import schemas
from trip_service.domain import Status
from trip_service.models import IdempotencyKey, Trip
from trip_service.repositories import Trips

log = logging.getLogger(__name__)

Json = dict[str, Any]
CHECK_IN_TIMEOUT_S = 1.0


class Renting:
    """Starts trips; `transaction()` opens one on the service's database, `bikes` is the proxy of bike_service."""

    def __init__(self, transaction: Callable[[], Any], bikes: Any) -> None:
        self.transaction, self.bikes = transaction, bikes

    def start(self, bike_id: str, rider_id: str, trip_id: str | None, key: str | None) -> Json:
        """Start a trip, or answer as the first call with this id or this idempotency key was answered."""
        trip_id = trip_id or str(uuid4())
        if key is None:
            return self._start(trip_id, bike_id, rider_id, None)
        with self.transaction() as session:
            digest = idempotency.fingerprint("start", bike_id)
            attempt = idempotency.begin(session, IdempotencyKey, rider_id, key, digest, trip_id)
        if attempt.answer is not None:
            return {**attempt.answer, "replayed": True}
        try:
            return {**self._start(attempt.resource_id, bike_id, rider_id, key), "replayed": False}
        except (NotFound, Conflict) as error:
            with self.transaction() as session:
                idempotency.keep_error(session, IdempotencyKey, rider_id, key, error)
            raise
        except Exception:
            self._release(rider_id, key)
            raise

    def _start(self, trip_id: str, bike_id: str, rider_id: str, key: str | None) -> Json:
        with self.transaction() as session:
            trips = Trips(session)
            known = trips.get(trip_id, tombstones=True)
            if known is not None and known.status != Status.VOID:
                self._judge_repetition(known, bike_id, rider_id)
                return self._keep(session, known, rider_id, key)
            if known is not None:
                # The sweeper has put this id to rest: it had, and will have, no effect.
                trip_id = str(uuid4())
                if key is not None:
                    idempotency.rename(session, IdempotencyKey, rider_id, key, trip_id)
            active = trips.active_of_rider(rider_id)
            if active is not None and active.id != trip_id:  # else this very call, delivered twice, has just won
                raise Conflict("The rider has an active trip.")
        bike = load(schemas.CheckedOutBikeSchema(), self.bikes.check_out(bike_id, trip_id, rider_id))
        try:
            with self.transaction() as session:
                started = Trips(session).start(trip_id, bike_id, rider_id, datetime.now(UTC), bike["location"])
                return self._keep(session, started, rider_id, key)
        except IntegrityError as error:
            return self._collision(trip_id, bike_id, rider_id, key, error)
        except Exception as error:
            # After an outage nobody knows whether the commit came through; the sweeper looks and puts it right.
            if not is_outage(error):
                self.check_in(bike_id, trip_id)
            raise

    def _collision(self, trip_id: str, bike_id: str, rider_id: str, key: str | None, error: IntegrityError) -> Json:
        """The answer to a start whose id, bike or rider was taken meanwhile; raises Conflict or Unavailable."""
        with self.transaction() as session:
            known = Trips(session).get(trip_id, tombstones=True)
            mine = known is not None and (known.bike_id, known.rider_id) == (bike_id, rider_id)
            if known is not None and mine and known.status != Status.VOID:
                # This very call, delivered twice, has won; while the trip runs its bike stays checked out.
                answer = self._keep(session, known, rider_id, key)
        if known is None or known.status != Status.ACTIVE or known.bike_id != bike_id:
            self.check_in(bike_id, trip_id)
        if known is not None and known.status != Status.VOID:
            self._judge_repetition(known, bike_id, rider_id)
            return answer
        if known is not None:
            raise Unavailable("The start took too long and has been put to rest.", {"retry_after": 1})
        constraint = error.orig.diag.constraint_name if error.orig is not None else None  # type: ignore[attr-defined]
        if constraint == "trips_one_active_per_rider":
            raise Conflict("The rider has an active trip.")
        raise Conflict("The bike is in another trip.")

    def _judge_repetition(self, known: Trip, bike_id: str, rider_id: str) -> None:
        """Raise Conflict, unless a start of this trip by this rider on this bike is `known`'s, told again."""
        if (known.bike_id, known.rider_id) != (bike_id, rider_id):
            raise Conflict("The id belongs to another trip.")

    def _keep(self, session: Session, trip: Trip, rider_id: str, key: str | None) -> Json:
        answer = schemas.show(trip)
        if key is not None:
            idempotency.keep_result(session, IdempotencyKey, rider_id, key, answer)
        return answer

    def _release(self, rider_id: str, key: str) -> None:
        try:
            with self.transaction() as session:
                idempotency.release(session, IdempotencyKey, rider_id, key)
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("a lease could not be released and will run out: %r", error)

    def check_in(self, bike_id: str, trip_id: str) -> None:
        """Free the trip's bike at once if bike_service is there; if not, the event or the sweeper will."""
        try:
            self.bikes.with_timeout(CHECK_IN_TIMEOUT_S).check_in(bike_id, trip_id)
        except (DomainError, RemoteError) as error:
            log.warning("the bike could not be freed at once", extra={"trip_id": trip_id, "reason": str(error)})
