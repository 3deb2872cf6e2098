"""A network that loses, delays or forgets what passes between a service and its servers."""

from collections.abc import Iterator

import pytest

from tests.faults import network_faults
from tests.faults.network import Network
from tests.faults.report import Report
from tests.faults.servers import Servers
from tests.faults.stack import Stack
from tests.faults.trial import endure


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    built = Network()
    yield built
    built.close()


@pytest.fixture(scope="module")
def distant_stack(servers: Servers, network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that reaches its servers through `network`."""
    running = Stack(servers, tmp_path_factory.mktemp("distant_stack"), network.route)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.mark.parametrize(("kind", "service", "what"), network_faults.SHORT)
def test_a_faulty_network_loses_nothing(
    distant_stack: Stack, network: Network, report: Report, seed: int, kind: str, service: str, what: str
) -> None:
    endure(distant_stack, network_faults.fault(network, kind, service, what), report, seed)
