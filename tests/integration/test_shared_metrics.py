"""What is counted of a transaction is counted after its commit; the sweeper counts what it has done."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.metrics import count_on_commit, counter
from tests.integration.builders import ago, new_id, query, ride, transaction
from trip_service.repositories import NewTrip, Trips
from trip_service.sweeping import Sweeper

COMMITS = counter("test_commits", "Commits.")


def total(name: str) -> float:
    return REGISTRY.get_sample_value(f"bike_company_{name}_total") or 0


def growth(*names: str) -> Callable[[], tuple[float, ...]]:
    """By how much these counters have grown since now."""
    before = [total(name) for name in names]
    return lambda: tuple(total(name) - then for name, then in zip(names, before, strict=True))


def test_a_commit_is_counted_once_and_a_rollback_never(trip_database_url: str) -> None:
    grown = growth("test_commits")
    with transaction(trip_database_url) as session:
        count_on_commit(session, COMMITS, 3)
        with session.begin_nested():
            session.execute(text("SELECT 1"))
        assert grown() == (0,)
    assert grown() == (3,)
    with rolled_back(trip_database_url) as session:
        count_on_commit(session, COMMITS)
        with session.begin_nested():
            session.execute(text("SELECT 1"))
    assert grown() == (3,)


@contextmanager
def rolled_back(url: str) -> Iterator[Session]:
    """A transaction whose work fails in the end."""
    with contextlib.suppress(ZeroDivisionError), transaction(url) as session:
        yield session
        raise ZeroDivisionError


class Bikes:
    """Stands for bike_service's proxy: these check-outs, and bikes that can always be had."""

    def __init__(self, *check_outs: dict[str, object]) -> None:
        self._check_outs = list(check_outs)

    def check_outs(self, limit: int, cursor: str | None) -> dict[str, object]:
        return {"items": self._check_outs, "next": None}

    def check_in(self, bike_id: str, trip_id: str) -> dict[str, object]:
        return {"released": True}

    def check_out(self, bike_id: str, trip_id: str, rider_id: str) -> dict[str, object]:
        return {}


def test_the_sweeper_counts_what_it_puts_right(trip_database_url: str) -> None:
    query(trip_database_url, "TRUNCATE trips")
    stray = {"bike_id": new_id(), "trip_id": new_id(), "rider_id": "rita", "checked_out_at": "2026-05-01T12:00:00Z"}
    ride(trip_database_url)
    grown = growth("sweeper_releases", "sweeper_tombstones", "sweeper_check_outs_again")
    sweeper = Sweeper(partial(transaction, trip_database_url), Bikes({**stray, "age_s": 60.0}))
    sweeper.reconcile(minimum_age_s=0)
    assert grown() == (1, 1, 1)
    sweeper.reconcile(minimum_age_s=0)  # the tombstone stands already
    assert grown() == (2, 1, 2)


def test_a_trip_that_was_not_committed_is_not_counted(trip_database_url: str) -> None:
    grown = growth("trips_started")
    with rolled_back(trip_database_url) as session:
        Trips(session).start([NewTrip(new_id(), new_id(), "rita", ago(1), None)])
    assert grown() == (0,)
    ride(trip_database_url)
    assert grown() == (1,)
