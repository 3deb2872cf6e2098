"""Calls that share a transaction, each with an outcome of its own: group commit.

A commit waits for the disk, and a statement costs a way to the database and back; twenty check-outs in one transaction
of three statements cost little more than one. What is true of one call (no such bike, taken already) is its outcome
and no exception. What spoils the transaction is the fault of one of them, and nobody knows whose: then each is done
again alone. An outage is nobody's, and is not tried again.

Measured: benchmarks/, workload `rides`; docs/performance.md.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from shared.outage import as_unavailable, is_outage

T = TypeVar("T")


def together(work: Callable[[list[T]], Sequence[Any]], calls: Sequence[T | Exception]) -> list[Any]:
    """Of each call its result or its exception; a call that is an exception already keeps it.

    `work` does all that it is given, in one transaction, or nothing. Raises only what says that nothing was done: an
    outage.
    """
    good = [call for call in calls if not isinstance(call, Exception)]
    outcomes = iter(_outcomes(work, good) if good else ())
    return [call if isinstance(call, Exception) else next(outcomes) for call in calls]


def only(outcomes: Sequence[Any]) -> Any:
    """The result of a call that came alone, or its exception, raised."""
    [outcome] = outcomes
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _outcomes(work: Callable[[list[T]], Sequence[Any]], calls: list[T]) -> Sequence[Any]:
    try:
        return work(calls)
    except Exception as error:
        if is_outage(error):
            raise
        return [error] if len(calls) == 1 else [_alone(work, call) for call in calls]


def _alone(work: Callable[[list[T]], Sequence[Any]], call: T) -> Any:
    try:
        return work([call])[0]
    except Exception as error:
        # Others may have been done before it, so an outage is this call's own.
        return as_unavailable(error) if is_outage(error) else error
