"""One set of servers and one stack for all faults that leave them whole; a table at the end."""

import os
import random
from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.faults.trial", "tests.faults.stack", "tests.faults.database_faults")

from tests.faults.network import Network  # noqa: E402
from tests.faults.report import Report  # noqa: E402
from tests.faults.servers import Servers  # noqa: E402
from tests.faults.stack import Stack  # noqa: E402

REPORT = Report()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if REPORT.rows or REPORT.notes:
        terminalreporter.section("faults")
        for line in REPORT.lines():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def report() -> Report:
    return REPORT


@pytest.fixture(scope="session")
def seed() -> int:
    """Printed by whatever fails; SEED= in the environment repeats its choices."""
    return int(os.environ.get("SEED") or random.randint(1, 1_000_000))


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    running = Servers(tmp_path_factory.mktemp("servers"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    built = Network()
    yield built
    built.close()


@pytest.fixture(scope="session")
def stack(
    servers: Servers, network: Network, tmp_path_factory: pytest.TempPathFactory, report: Report
) -> Iterator[Stack]:
    """Its network stays until it ends: a service that has not started again since `distant_stack` still needs it."""
    running = Stack(servers, tmp_path_factory.mktemp("stack"))
    try:
        running.start()
        yield running
        if running.restart_s is not None:
            report.notes.append(f"where a process started again, {running.restarted_within_s():.1f} s were allowed")
    finally:
        running.stop()


@pytest.fixture(scope="module")
def distant_stack(stack: Stack, network: Network) -> Iterator[Stack]:
    """The stack, its services reaching their servers through `network`; afterwards, until each one's next start."""
    stack.reroute(network.route)
    stack.restart()
    yield stack
    stack.reroute()
