"""A network that loses, delays or forgets what passes between a service and its servers."""

from tests.faults import network_faults
from tests.faults.network import Network
from tests.faults.report import Report
from tests.faults.stack import Stack
from tests.faults.trial import endure


def test_a_faulty_network_loses_nothing(distant_stack: Stack, network: Network, report: Report, seed: int) -> None:
    endure(distant_stack, report, seed, *(network_faults.fault(network, *each) for each in network_faults.SHORT))
