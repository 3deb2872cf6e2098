"""Whatever RabbitMQ suffers, callers are answered, and nothing that was acknowledged is lost."""

import pytest

from tests.faults.broker_faults import AWAY, UNWELL
from tests.faults.report import Report
from tests.faults.stack import Stack
from tests.faults.trial import Fault, endure


@pytest.mark.parametrize("faults", [AWAY, UNWELL], ids=["away", "unwell"])
def test_a_broker_that_fails_loses_nothing(stack: Stack, report: Report, seed: int, faults: list[Fault]) -> None:
    endure(stack, report, seed, *faults)
