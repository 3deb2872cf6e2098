"""Starting trips: the one piece of work that spans two services and two databases.

First bike_service gives the bikes to the trips' ids (its conditional update is the only judge of who gets one), then
the trips are inserted. A process that dies in between leaves check-outs without a trip; `sweeping` puts it right, or
the same call, repeated under the same id, goes on where it ended.

Starts that come together go through it together, a transaction or a message for each step, each with its own outcome.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from nameko.exceptions import RemoteError
from sqlalchemy.orm import Session

from shared import idempotency
from shared.errors import Conflict, DomainError, NotFound, Unavailable
from shared.fields import Point
from shared.log import told
from shared.origins import Origin
from shared.outage import as_unavailable, is_outage
from shared.together import only
from shared.validation import load
from trip_service import schemas
from trip_service.domain import Status
from trip_service.models import IdempotencyKey, Trip
from trip_service.repositories import NewTrip, Trips

log = logging.getLogger(__name__)

Json = dict[str, Any]
CHECK_IN_TIMEOUT_S = 1.0


@dataclass
class Start:
    """A call to start a trip, on its way; `outcome` is its answer or its exception, once there is one."""

    trip_id: str
    bike_id: str
    rider_id: str
    key: str | None
    origin: Origin | None
    place: Point | None = None
    outcome: Any = None

    @classmethod
    def of(cls, call: Mapping[str, Any]) -> "Start":
        """Of a loaded call; one without a trip's id gets one."""
        trip_id, key = call.get("trip_id") or str(uuid4()), call.get("idempotency_key")
        return cls(trip_id, call["bike_id"], call["rider_id"], key, call.get("origin"))

    def is_of(self, trip: Trip) -> bool:
        """Whether this is the start of `trip`, told again, rather than one that took its id."""
        return (self.bike_id, self.rider_id) == (trip.bike_id, trip.rider_id)


def undecided(starts: Iterable[Start]) -> list[Start]:
    """Those that have no outcome yet."""
    return [start for start in starts if start.outcome is None]


def by_key(starts: Iterable[Start]) -> list[Start]:
    """In the one order in which keys are locked, so that two batches cannot wait for each other."""
    return sorted(starts, key=lambda start: (start.rider_id, start.key or ""))


class Renting:
    """Starts trips; `transaction()` opens one on the service's database, `bikes` is the proxy of bike_service."""

    def __init__(self, transaction: Callable[[], Any], bikes: Any) -> None:
        self.transaction, self.bikes = transaction, bikes

    def start(self, calls: Sequence[Mapping[str, Any]]) -> list[Json | Exception]:
        """Start a trip for each call, or answer as the first with its id or its idempotency key was answered."""
        starts = [Start.of(call) for call in calls]
        keyed = by_key(start for start in starts if start.key is not None)
        if keyed:
            with self.transaction() as session:
                for start in keyed:
                    _begin(session, start)
        begun = undecided(keyed)
        for step in (self._look, self._check_out, self._insert, self._settle_collisions):
            left = undecided(starts)
            if not left:
                break
            try:
                step(left)
            except Exception as error:  # it is the outcome of all whom it concerns
                for start in undecided(left):
                    start.outcome = as_unavailable(error) if is_outage(error) else error
        if begun:
            self._end_attempts(begun)
        return [start.outcome for start in starts]

    def _look(self, starts: Sequence[Start]) -> None:
        """Answer those whose trip is there already, refuse those whose rider has another one."""
        answers: list[tuple[Start, Json | Conflict]] = []
        with self.transaction() as session:
            trips = Trips(session)
            known = trips.by_ids((start.trip_id for start in starts), tombstones=True)
            for start in by_key(starts):
                trip = known.get(start.trip_id)
                if trip is not None and trip.status != Status.VOID:
                    answers.append((start, _repeated(session, start, trip)))
                elif trip is not None:
                    # The sweeper has put this id to rest: it had, and will have, no effect.
                    start.trip_id = str(uuid4())
                    if start.key is not None:
                        idempotency.rename(session, IdempotencyKey, start.rider_id, start.key, start.trip_id)
            active = trips.active_of_riders(start.rider_id for start in starts)
        for start, answer in answers:
            start.outcome = answer
        for start in undecided(starts):
            trip = active.get(start.rider_id)
            if trip is not None and trip.id != start.trip_id:  # else this very call, delivered twice, has just won
                start.outcome = Conflict("The rider has an active trip.")

    def _check_out(self, starts: Sequence[Start]) -> None:
        calls = [{"bike_id": start.bike_id, "trip_id": start.trip_id, "rider_id": start.rider_id} for start in starts]
        outcomes = self.bikes.call_many("check_out_many", calls, [start.origin for start in starts])
        for start, bike in zip(starts, outcomes, strict=True):
            try:
                start.place = load(_checked_out, only([bike]))["location"]
            except Exception as error:  # of this call alone
                start.outcome = error

    def _insert(self, starts: Sequence[Start]) -> None:
        """Insert the trips; those whose id, bike or rider was taken meanwhile stay undecided."""
        try:
            with self.transaction() as session:
                now = datetime.now(UTC)
                new = [
                    NewTrip(each.trip_id, each.bike_id, each.rider_id, now, each.place, each.origin) for each in starts
                ]
                started = Trips(session).start(new)
                mine = [start for start in starts if start.trip_id in started and start.is_of(started[start.trip_id])]
                stored = by_key(mine)
                answers = [_keep(session, start, started[start.trip_id]) for start in stored]
        except Exception as error:
            # After an outage nobody knows whether the commit came through; the sweeper looks and puts it right.
            if is_outage(error):
                raise
            if len(starts) == 1:
                self._give_back(starts)
                raise
            # It is the fault of one of them.
            for start in starts:
                try:
                    self._insert([start])
                except Exception as own:
                    start.outcome = as_unavailable(own) if is_outage(own) else own
        else:
            for start, answer in zip(stored, answers, strict=True):
                start.outcome = answer

    def _settle_collisions(self, starts: Sequence[Start]) -> None:
        """The outcomes of starts whose id, bike or rider was taken meanwhile."""
        with self.transaction() as session:
            trips = Trips(session)
            known = trips.by_ids((start.trip_id for start in starts), tombstones=True)
            riding = trips.active_of_riders(start.rider_id for start in starts)
            # These very calls, delivered twice, have won; while a trip runs its bike stays checked out.
            there = {trip_id for trip_id, trip in known.items() if trip.status != Status.VOID}
            twins = [start for start in by_key(starts) if start.trip_id in there]
            answers = [_repeated(session, start, known[start.trip_id]) for start in twins]
        riding_on = {trip.id: trip.bike_id for trip in known.values() if trip.status == Status.ACTIVE}
        self._give_back([start for start in starts if riding_on.get(start.trip_id) != start.bike_id])
        for start, answer in zip(twins, answers, strict=True):
            start.outcome = answer
        for start in undecided(starts):
            if start.trip_id in known:
                start.outcome = Unavailable("The start took too long and has been put to rest.", {"retry_after": 1})
            elif start.rider_id in riding:
                start.outcome = Conflict("The rider has an active trip.")
            else:
                start.outcome = Conflict("The bike is in another trip.")

    def _end_attempts(self, starts: Sequence[Start]) -> None:
        """Keep refusals as the answers to their keys; end the leases of what may be tried again."""
        try:
            with self.transaction() as session:
                for start in starts:
                    assert start.key is not None, "has begun an attempt"
                    if isinstance(start.outcome, NotFound | Conflict):
                        idempotency.keep_error(session, IdempotencyKey, start.rider_id, start.key, start.outcome)
                    elif isinstance(start.outcome, Exception):
                        idempotency.release(session, IdempotencyKey, start.rider_id, start.key)
        except Exception as error:
            if not is_outage(error):
                raise
            # The outcomes stand all the same.
            log.warning("leases could not be ended and will run out", extra={"reason": told(error)})

    def _give_back(self, starts: Sequence[Start]) -> None:
        self.check_in([(start.bike_id, start.trip_id) for start in starts], [start.origin for start in starts])

    def check_in(self, given_back: Sequence[tuple[str, str]], origins: Sequence[Origin | None] | None = None) -> None:
        """Free these bikes of these trips at once if bike_service is there; if not, the events or the sweeper will."""
        if not given_back:
            return
        calls = [{"bike_id": bike_id, "trip_id": trip_id} for bike_id, trip_id in given_back]
        try:
            outcomes = self.bikes.with_timeout(CHECK_IN_TIMEOUT_S).call_many("check_in_many", calls, origins)
        except (DomainError, RemoteError) as error:
            outcomes = [error] * len(calls)
        for call, outcome in zip(calls, outcomes, strict=True):
            if isinstance(outcome, Exception):
                reason = {"trip_id": call["trip_id"], "reason": str(outcome)}
                log.warning("the bike could not be freed at once", extra=reason)


_checked_out = schemas.CheckedOutBikeSchema()


def _begin(session: Session, start: Start) -> None:
    """Begin or resume the attempt under the call's key, or let it have the kept answer."""
    digest = idempotency.fingerprint("start", start.bike_id)
    try:
        attempt = idempotency.begin(session, IdempotencyKey, start.rider_id, start.key or "", digest, start.trip_id)
    except DomainError as error:
        start.outcome = error
        return
    start.trip_id = attempt.resource_id
    if attempt.answer is not None:
        start.outcome = {**attempt.answer, "replayed": True}


def _repeated(session: Session, start: Start, trip: Trip) -> Json | Conflict:
    """The outcome of a start whose id a trip has already: that trip, if this is its start told again."""
    return _keep(session, start, trip) if start.is_of(trip) else Conflict("The id belongs to another trip.")


def _keep(session: Session, start: Start, trip: Trip) -> Json:
    """The answer to the call, kept in this transaction if it has a key."""
    answer = schemas.show(trip)
    if start.key is None:
        return answer
    idempotency.keep_result(session, IdempotencyKey, start.rider_id, start.key, answer)
    return {**answer, "replayed": False}
