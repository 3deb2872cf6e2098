"""How many messages wait in the queues that a service consumes, and how many consumers they have."""

from collections.abc import Iterator
from typing import Any

import amqp
from kombu import Connection
from nameko.extensions import SharedExtension
from prometheus_client.core import Metric

from shared.amqp import CONNECT_TIMEOUT
from shared.probes import PROBES, Probe, figures_by
from shared.topology import DEAD_SUFFIX


class QueueWatch(SharedExtension):
    """Asks the broker for the container's queues, over a connection of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._queues: set[str] = set()
        self._transport: Any = None
        self._probe = Probe("queues", self.measure)

    def add(self, *queues: str) -> None:
        """Watch these too; one that ends in `.dead` is a dead-letter queue, which nobody consumes."""
        self._queues.update(queues)

    def start(self) -> None:
        PROBES.add(self._probe)

    def stop(self) -> None:
        PROBES.remove(self._probe)
        self._disconnect()

    kill = stop

    def measure(self) -> Iterator[Metric]:
        """Raises one of `shared.amqp.BROKER_ERRORS`."""
        try:
            found = {queue: self._ask(queue) for queue in sorted(self._queues)}
        except BaseException:  # also a timeout in the middle of an answer: the channel is of no use after it
            self._disconnect()
            raise
        work = {queue: figures for queue, figures in found.items() if not queue.endswith(DEAD_SUFFIX)}
        dead = {queue: figures[0] for queue, figures in found.items() if queue.endswith(DEAD_SUFFIX)}
        waiting = {queue: messages for queue, (messages, _) in work.items()}
        consumers = {queue: consumers for queue, (_, consumers) in work.items()}
        yield figures_by("queue_messages", "Messages that wait for a consumer.", "queue", waiting.items())
        yield figures_by("queue_consumers", "Consumers of the queue.", "queue", consumers.items())
        yield figures_by("dead_letter_queue_messages", "Messages put aside.", "queue", dead.items())

    def _ask(self, queue: str) -> tuple[int, int]:
        """Messages and consumers; none of either when the queue is not there, since some go with their consumers."""
        with self._connected().channel() as channel:
            try:
                # Passive: it asks, whatever the queue's arguments, and makes nothing.
                answer = channel.queue_declare(queue, passive=True)
            except amqp.NotFound:
                return 0, 0
        return answer.message_count, answer.consumer_count

    def _connected(self) -> Any:
        if self._transport is None:
            # Nobody would send heartbeats between two scrapes.
            uri = self.container.config["AMQP_URI"]
            self._transport = Connection(uri, heartbeat=0, connect_timeout=CONNECT_TIMEOUT).connect()
        return self._transport

    def _disconnect(self) -> None:
        if self._transport is not None:
            # Closing politely would wait for a broker that may be gone.
            self._transport.collect()
            self._transport = None
