"""Declares the exchange and queues of positions when a service starts, whoever starts first."""

from typing import Any

from nameko.extensions import DependencyProvider

from shared.amqp import connection
from shared.positions import TOPOLOGY
from shared.queue_watch import QueueWatch
from shared.topology import declare


class PositionsTopology(DependencyProvider):
    """Gateway and services alike have one, so an accepted position always has a queue to wait in."""

    watch = QueueWatch()

    def setup(self) -> None:
        self.watch.add(*(queue.name for queue in TOPOLOGY))
        with connection(self.container.config["AMQP_URI"]) as conn:
            declare(conn, TOPOLOGY)

    def get_dependency(self, worker_ctx: Any) -> None:
        return None
