"""A service that is killed takes nothing with it that was acknowledged."""

import pytest

from tests.faults.process_faults import BOTH, KILLS
from tests.faults.report import Report
from tests.faults.stack import Stack
from tests.faults.trial import Fault, endure


@pytest.mark.parametrize("faults", [KILLS[:4], BOTH], ids=["at any moment", "at the worst moment"])
def test_a_killed_process_loses_nothing(stack: Stack, report: Report, seed: int, faults: list[Fault]) -> None:
    endure(stack, report, seed, *faults)
