"""Whatever the PostgreSQL of one service suffers, callers are answered, and nothing that was acknowledged is lost."""

import pytest

from tests.faults.database_faults import SHORT
from tests.faults.report import Report
from tests.faults.stack import Stack
from tests.faults.trial import Fault, endure


@pytest.mark.parametrize("fault", SHORT, ids=lambda fault: fault.name)
def test_an_outage_of_a_database_loses_nothing(stack: Stack, report: Report, seed: int, fault: Fault) -> None:
    endure(stack, fault, report, seed)
