"""What the answers alone must be: there in time, no defect, and good again soon after the fault."""

from collections.abc import Sequence

from tests.faults.caller import PATIENCE_S
from tests.faults.ledger import HUNG, Entry


def check(entries: Sequence[Entry], fault_ended: float, back_within_s: float) -> list[str]:
    """Problems; `fault_ended` in Unix seconds."""
    problems = []
    for entry in entries:
        where = f"{entry.op} at {entry.began - fault_ended:+.2f} s after the fault's end"
        if entry.outcome == HUNG or entry.took > PATIENCE_S:
            problems.append(f"{where} had no answer after {entry.took:.1f} s")
        elif entry.outcome == 500:
            problems.append(f"{where} was answered by 500")
        elif entry.failed and entry.began > fault_ended + back_within_s:
            problems.append(f"{where} still failed: {entry.outcome}")
    return problems


def recovery_s(entries: Sequence[Entry], fault_ended: float) -> float:
    """Seconds from the fault's end to the end of the last request that failed."""
    return max([0.0, *(entry.ended - fault_ended for entry in entries if entry.failed)])
