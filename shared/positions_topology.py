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

    It takes a broker user who may publish positions. Without it all else goes on, so it is no error here.
    """
    with conn.channel() as channel:
        try:
            EXCHANGE(channel).bind_to(MQTT_EXCHANGE, routing_key=BIKE_KEYS)
        except AccessRefused as error:
            log.warning("positions over MQTT do not come through", extra={"reason": error.reply_text})


class PositionsTopology(DependencyProvider):
    """Gateway and services alike have one, so an accepted position always has a queue to wait in.

    `bridges_mqtt`: only where positions are published; whose bikes the gateway lets in, it also lets through.
    """

    watch = QueueWatch()

    def __init__(self, bridges_mqtt: bool = False) -> None:
        super().__init__()
        self.bridges_mqtt = bridges_mqtt

    def setup(self) -> None:
        self.watch.add(*(queue.name for queue in TOPOLOGY))
        with connection(self.container.config["AMQP_URI"]) as conn:
            declare(conn, TOPOLOGY)
            if self.bridges_mqtt:
                bridge_mqtt(conn)

    def get_dependency(self, worker_ctx: Any) -> None:
        return None
