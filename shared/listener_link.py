"""One connection of a listener: its queue, which ends with it, and the consumer of it.

What the queue drops when it is full goes to a second one that holds one message, so that this side learns of it:
RabbitMQ's "Queue Length Limit" and "Dead Letter Exchanges".
"""

import uuid
from collections.abc import Callable
from typing import Any

import amqp
import eventlet
from kombu import Exchange, Queue, binding
from nameko.events import get_event_exchange

from shared.amqp import connection, read_ahead
from shared.consumers import raw_body
from shared.moves import EXCHANGE
from shared.positions import CONSUMERS

# Events are of a kilobyte, moves of up to 100: some seconds of a large fleet.
MAX_MESSAGES = 20_000
MAX_BYTES = 64 << 20
PREFETCH = 500
ACKED_AT_ONCE = 100
# Messages, or bytes of them, after which others may run.
READ_AT_ONCE = 20
BYTES_AT_ONCE = 1 << 16

Hear = Callable[[str, str, bytes], None]
"""Takes the exchange that a message was published to, its routing key and its body."""


def listener_queue(service: str) -> str:
    """A name that no other connection's queue has: the broker may still take the former for alive."""
    return f"listener-{service}-{uuid.uuid4()}"


def lost_queue(queue: str) -> str:
    """Where what `queue` drops leaves a trace."""
    return f"{queue}.lost"


def event_exchange(service: str) -> Exchange:
    """Where `service` publishes its events."""
    exchange: Exchange = get_event_exchange(service, {})
    return exchange


class ListenerLink:
    """Connected, and its queue bound, once it is made; raises one of BROKER_ERRORS."""

    def __init__(self, uri: str, service: str, hear: Hear) -> None:
        self._hear = hear
        self._lost_tag: int | None = None
        self._transport: Any = connection(uri).connect()
        try:
            read_ahead(self._transport)
            self._channel = self._transport.channel()
            self._channel.auto_decode = False
            # Of its own, since an acknowledgement of many is of all that its channel has delivered.
            self._losses = self._transport.channel()
            self._unsettled = self._last_tag = self._read = self._bytes_read = 0
            self._consume(listener_queue(service))
        except BaseException:  # half made, nobody else could close it; raised again
            self.close()
            raise

    def _consume(self, name: str) -> None:
        lost = self._declare(lost_queue(name), [], {"x-max-length": 1})
        bindings = [binding(EXCHANGE)]
        bindings += [binding(event_exchange(service), routing_key="#") for service in CONSUMERS]
        arguments = {
            "x-max-length": MAX_MESSAGES,
            "x-max-length-bytes": MAX_BYTES,
            "x-overflow": "drop-head",
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": lost,
        }
        queue = self._declare(name, bindings, arguments)
        self._channel.basic_qos(0, PREFETCH, False)
        self._channel.basic_consume(queue, callback=self._on_message)
        self._losses.basic_qos(0, 1, False)
        self._losses.basic_consume(lost, callback=self._on_loss)

    def _declare(self, name: str, bindings: list[Any], arguments: dict[str, Any]) -> str:
        queue = Queue(
            name, bindings=bindings, durable=False, exclusive=True, auto_delete=True, queue_arguments=arguments
        )
        queue(self._channel).declare()
        return name

    @property
    def has_lost(self) -> bool:
        """Whether the queue has dropped messages since `forget_loss`."""
        return self._lost_tag is not None

    def forget_loss(self) -> None:
        tag, self._lost_tag = self._lost_tag, None
        if tag is not None:
            self._losses.basic_ack(tag)

    @property
    def bytes_received(self) -> int:
        return int(self._transport.bytes_recv)

    def drain(self, timeout: float) -> None:
        """Take what has come; raises TimeoutError when nothing comes, or one of BROKER_ERRORS."""
        self._transport.drain_events(timeout=timeout)

    def settle(self) -> None:
        """Acknowledge what was taken."""
        if self._unsettled:
            self._unsettled = 0
            self._channel.basic_ack(self._last_tag, multiple=True)

    def send_heartbeat(self) -> None:
        self._transport.heartbeat_tick()

    def close(self) -> None:
        # Closing politely would wait for a broker that may be gone; the queues go with the connection.
        self._transport.collect()

    def _on_loss(self, message: amqp.Message) -> None:
        self._lost_tag = message.delivery_info["delivery_tag"]

    def _on_message(self, message: amqp.Message) -> None:
        info, body = message.delivery_info, raw_body(message)
        self._hear(info["exchange"], info["routing_key"], body)
        self._last_tag = info["delivery_tag"]
        self._unsettled += 1
        self._read += 1
        self._bytes_read += len(body)
        if self._unsettled >= ACKED_AT_ONCE:
            self.settle()
        if self._read >= READ_AT_ONCE or self._bytes_read >= BYTES_AT_ONCE:
            self._read = self._bytes_read = 0
            eventlet.sleep(0)
