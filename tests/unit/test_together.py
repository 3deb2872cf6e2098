"""Calls that share a transaction: each its own outcome."""

from typing import Any

import pytest
import sqlalchemy.exc

from shared.errors import Conflict, Invalid, NotFound, Unavailable
from shared.together import only, together

AWAY = sqlalchemy.exc.OperationalError("SELECT 1", {}, Exception("gone"))


class Work:
    """Doubles numbers, all or none of them; `odd` by value is what one raises."""

    def __init__(self, odd: dict[int, Exception] | None = None) -> None:
        self.odd = odd or {}
        self.done: list[list[int]] = []

    def __call__(self, calls: list[int]) -> list[Any]:
        self.done.append(calls)
        for call in calls:
            if call in self.odd:
                raise self.odd[call]
        return [NotFound("None.") if call == 0 else 2 * call for call in calls]


def test_calls_are_done_at_once_and_each_has_its_outcome() -> None:
    work, invalid = Work(), Invalid("no")
    calls: list[int | Exception] = [1, invalid, 0, 3]
    found = together(work, calls)
    assert (found[0], found[1], found[3]) == (2, invalid, 6)
    assert isinstance(found[2], NotFound)
    assert work.done == [[1, 0, 3]]


def test_nothing_is_done_for_nobody() -> None:
    work = Work()
    assert together(work, []) == []
    assert together(work, [Invalid("no")])[0].detail == "no"
    assert work.done == []


@pytest.mark.parametrize("error", [ValueError("a defect"), Conflict("taken")])
def test_what_spoils_the_transaction_is_the_outcome_of_one_and_the_others_are_done(error: Exception) -> None:
    work = Work({2: error})
    assert together(work, [1, 2, 3]) == [2, error, 6]
    assert work.done == [[1, 2, 3], [1], [2], [3]]
    assert together(work, [2]) == [error]


def test_an_outage_is_everybodys_and_is_not_tried_again() -> None:
    work = Work({2: AWAY})
    with pytest.raises(sqlalchemy.exc.OperationalError):
        together(work, [1, 2, 3])
    assert work.done == [[1, 2, 3]]


def test_an_outage_among_single_tries_is_one_calls_own() -> None:
    broken = {1: ValueError("a defect"), 3: AWAY}
    found = together(Work(broken), [1, 2, 3])
    assert found[:2] == [broken[1], 4]
    assert isinstance(found[2], Unavailable)


def test_of_a_call_alone_the_outcome_is_returned_or_raised() -> None:
    assert only([{"a": 1}]) == {"a": 1}
    with pytest.raises(Conflict):
        only([Conflict("taken")])
