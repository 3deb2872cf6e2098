"""SIGTERM drains: what runs is answered, nothing new is begun, the exit code is 0."""

import pytest

from tests.faults.report import Report
from tests.faults.sigterm_faults import ALONE, WITHOUT
from tests.faults.stack import Stack
from tests.faults.trial import Fault, endure


@pytest.mark.parametrize("faults", [ALONE, WITHOUT], ids=["one service", "all, without what they need"])
def test_a_stop_under_load_loses_nothing(stack: Stack, report: Report, seed: int, faults: list[Fault]) -> None:
    endure(stack, report, seed, *faults)
