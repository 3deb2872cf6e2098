"""Declares the exchange and queues of positions when a service starts, whoever starts first, and MQTT's way there."""

import logging
from typing import Any

from amqp.exceptions import AccessRefused
from kombu import Connection
from nameko.extensions import DependencyProvider

from shared.amqp import connection
from shared.positions import BIKE_KEYS, EXCHANGE, MQTT_EXCHANGE, TOPOLOGY
from shared.queue_watch import QueueWatch
from shared.topology import declare

log = logging.getLogger(__name__)


def bridge_mqtt(conn: Connection) -> None:
    """Let what bikes publish over MQTT go to the exchange of positions, which is there; repeating it has no effect.

    Whose broker user may not publish positions, may not do this either, and leaves it to the gateway.
    """
    with conn.channel() as channel:
        try:
            EXCHANGE(channel).bind_to(MQTT_EXCHANGE, routing_key=BIKE_KEYS)
        except AccessRefused:
            log.info("the way of MQTT to the positions is left to the gateway")


class PositionsTopology(DependencyProvider):
    """Gateway and services alike have one, so an accepted position always has a queue to wait in."""

    watch = QueueWatch()

    def setup(self) -> None:
        self.watch.add(*(queue.name for queue in TOPOLOGY))
        with connection(self.container.config["AMQP_URI"]) as conn:
            declare(conn, TOPOLOGY)
            bridge_mqtt(conn)

    def get_dependency(self, worker_ctx: Any) -> None:
        return None
