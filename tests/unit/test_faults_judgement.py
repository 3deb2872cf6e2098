"""The judge of the fault tests: an answer that no fault explains is a problem."""

import pytest

from tests.faults.check_trips import refusals
from tests.faults.ledger import CLOSED, CONFIRMED, Entry

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
