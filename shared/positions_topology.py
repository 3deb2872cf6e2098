"""Declares the exchange and queues of positions when a service starts, whoever starts first."""

from typing import Any

from nameko.extensions import DependencyProvider

from shared.amqp import connection
from shared.positions import TOPOLOGY
from shared.topology import declare


class PositionsTopology(DependencyProvider):
    """Gateway and services alike have one, so an accepted position always has a queue to wait in."""

    def setup(self) -> None:
        with connection(self.container.config["AMQP_URI"]) as conn:
            declare(conn, TOPOLOGY)

    def get_dependency(self, worker_ctx: Any) -> None:
        return None
