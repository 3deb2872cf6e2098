"""Whatever the PostgreSQL of one service suffers, callers are answered, and nothing that was acknowledged is lost."""

from tests.faults.database_faults import SHORT
from tests.faults.report import Report
from tests.faults.stack import Stack
from tests.faults.trial import endure


def test_an_outage_of_a_database_loses_nothing(stack: Stack, report: Report, seed: int) -> None:
    endure(stack, report, seed, *SHORT)
