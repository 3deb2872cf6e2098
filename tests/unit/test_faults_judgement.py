"""The judge of the fault tests: an answer that no fault explains is a problem."""

import pytest

from tests.faults.check_trips import refusals
from tests.faults.ledger import CLOSED, CONFIRMED, Entry
from tests.faults.trial import Deaths, Fault, Strike, allowed_s, by_strike

GOOD = {"start": 201, "read": 200, "read_bike": 200, "list": 200, "end": 200, "cancel": 200, "report": 202}


def told(op: str, outcome: int | str) -> list[str]:
    return refusals([Entry(op, "somebody", 0.0, 0.1, outcome)])


@pytest.mark.parametrize("op", GOOD)
def test_only_what_a_fault_explains_is_allowed(op: str) -> None:
    for outcome in (GOOD[op], 503, 504, CLOSED):
        assert told(op, outcome) == [], outcome
    for outcome in (204, 400, 401, 403, 404, 422, 429, 502):
        assert len(told(op, outcome)) == 1, outcome
    assert len(told(op, 409)) == (op != "start")


def test_a_platform_gets_no_status() -> None:
    assert told("publish", CONFIRMED) == []


class Machine:
    """A stack, as far as it says what a start takes on it."""

    def restarted_within_s(self) -> float:
        return 25.0


@pytest.mark.parametrize(("deaths", "allowed"), [((), 10.0), ((("trip_service", -9),), 25.0)])
def test_a_slow_machine_has_more_time_only_where_a_process_starts(deaths: Deaths, allowed: float) -> None:
    fault = Fault("some fault", lambda stack, rng: None, deaths)
    assert allowed_s(Machine(), fault) == allowed  # type: ignore[arg-type]


def test_an_entry_belongs_to_the_fault_that_struck_last_before_it() -> None:
    entries = [Entry("read", "somebody", began, 0.5, 200) for began in (0.5, 1.5, 2.0, 2.5, 9.0)]
    fault = Fault("some fault", lambda stack, rng: None)
    strikes = [Strike(fault, struck, struck + 0.5, 10.0, 0) for struck in (2.0, 3.0)]
    found = by_strike(strikes, entries, lambda entry: entry.ended)
    assert [[entry.began for entry in own] for own in found] == [[0.5, 1.5, 2.0], [2.5, 9.0]]
