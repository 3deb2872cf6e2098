"""Faults of the network between a service and the broker, or its database."""

import random

import eventlet

from tests.faults.network import Network
from tests.faults.stack import Stack
from tests.faults.trial import Fault

# A cut outlasts the longest pause between two attempts to connect, a silence every deadline of a call, and what makes a
# connection half-open most of the time until a heartbeat is missed.
CUT_S, SLOW_S, SILENT_S, HALF_OPEN_S, DELAY_S = 5.0, 3.0, 6.0, 8.0, 0.15


def drop(network: Network, service: str, what: str) -> None:
    """Every connection is reset, and new ones are refused."""
    proxy = network.between(service, what)
    proxy.refuse()
    eventlet.sleep(CUT_S)
    proxy.restore()


def delay(network: Network, service: str, what: str) -> None:
    """Everything arrives late, both ways."""
    proxy = network.between(service, what)
    proxy.delay_s = DELAY_S
    eventlet.sleep(SLOW_S)
    proxy.delay_s = 0.0


def silence(network: Network, service: str, what: str) -> None:
    """Connections stand, and nothing passes; then all that was held up arrives."""
    proxy = network.between(service, what)
    proxy.pause()
    eventlet.sleep(SILENT_S)
    proxy.restore()


def half_open(network: Network, service: str, what: str) -> None:
    """After a silence the network knows nothing of the old connections, whose ends believe that they stand."""
    proxy = network.between(service, what)
    proxy.pause()
    eventlet.sleep(HALF_OPEN_S)
    proxy.forsake()
    proxy.restore()


KINDS = {"is cut": drop, "is slow": delay, "is silent": silence, "leaves half-open connections": half_open}
LINKS = [
    ("bike_service", "broker"),
    ("trip_service", "broker"),
    ("gateway_service", "broker"),
    ("bike_service", "database"),
    ("trip_service", "database"),
]
# In the short form each kind once.
SHORT = [
    ("is cut", "trip_service", "broker"),
    ("is slow", "bike_service", "broker"),
    ("is silent", "gateway_service", "broker"),
    ("leaves half-open connections", "bike_service", "broker"),
]


def fault(network: Network, kind: str, service: str, what: str) -> Fault:
    """One kind of fault on one link."""

    def strike(stack: Stack, rng: random.Random) -> None:
        KINDS[kind](network, service, what)

    return Fault(f"network {service} - {what} {kind}", strike)
