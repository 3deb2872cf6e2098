"""Handling events: retried with backoff, then dead-lettered, and nobody waits behind a message that fails.

Nameko acknowledges, and so loses, an event whose handler raises; its `requeue_on_error` is a hot endless loop.
Here the handler's queue is durable and has, beside it, one queue per delay whose messages return after their time
(RabbitMQ's message TTL and dead-letter exchange), and `<queue>.dead` for what has failed `len(DELAYS_S)` times more.
"""

import logging
import time
from functools import partial
from typing import Any

from kombu import Queue
from kombu.message import Message
from nameko.events import EventHandler as NamekoEventHandler
from nameko.events import get_event_exchange
from nameko.exceptions import ContainerBeingKilled

from shared import call_context, dead_letters
from shared import message_metrics as metrics
from shared.amqp import connection
from shared.consumers import QueueConsumer, raw_body
from shared.dead_letters import ATTEMPT, ORIGIN
from shared.errors import Invalid, Unavailable
from shared.log import told
from shared.outage import is_outage
from shared.publisher import SharedPublisher
from shared.queue_watch import QueueWatch
from shared.topology import dead_letter_queue, declare, durable_queue

log = logging.getLogger(__name__)

INVALID = "invalid"
DELAYS_S = (1, 5, 30, 120)
OUTAGE_DELAY_S = 5


def retry_queue(queue: Queue, delay_s: int) -> Queue:
    """Where a message waits `delay_s` seconds before it returns to `queue`."""
    return Queue(
        f"{queue.name}.retry.{delay_s}s",
        durable=True,
        queue_arguments={
            "x-queue-type": "quorum",
            "x-message-ttl": delay_s * 1000,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": queue.name,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )


class EventHandler(NamekoEventHandler):
    """`@event_handler(source_service, event_type)`: the method takes the event's payload.

    It may be called again with the same event, and in any order (see `shared.inbox`). An `Invalid` that it raises
    sends the event to the dead letters at once; an outage (`shared.outage`) counts no attempt.
    """

    queue_consumer = QueueConsumer()
    publisher = SharedPublisher()
    watch = QueueWatch()

    def queue_name(self, service: str, method: str) -> str:
        """The name of the queue through which `method` of `service` gets its events."""
        return f"evt-{self.source_service}-{self.event_type}--{service}.{method}"

    def setup(self) -> None:
        name = self.queue_name(self.container.service_name, self.method_name)
        exchange = get_event_exchange(self.source_service, self.container.config)
        self.queue = durable_queue(name, exchange, [self.event_type])
        self.watch.add(name, dead_letter_queue(self.queue).name)
        self.queue_consumer.register_provider(self)
        with connection(self.container.config["AMQP_URI"]) as conn:
            waiting = [retry_queue(self.queue, delay) for delay in DELAYS_S]
            declare(conn, [dead_letter_queue(self.queue), self.queue, *waiting])

    def handle_undecodable(self, message: Message, error: Exception) -> None:
        began = time.monotonic()
        self.count(
            began, self._settle_by(message, metrics.DEAD, partial(self._bury, message, "unreadable", told(error)))
        )

    def handle_message(self, body: Any, message: Message) -> None:
        began = time.monotonic()
        try:
            self.container.spawn_worker(
                self,
                (body,),
                {},
                context_data=self.context_of(message),
                handle_result=partial(self.handle_result, message, began),
            )
        except ContainerBeingKilled:
            self.queue_consumer.requeue_message(message)

    def context_of(self, message: Message) -> dict[str, Any]:
        """What the message's headers give a worker."""
        context = call_context.usable(self.unpack_message_headers(message))
        # An event is handled whenever it comes; no caller waits for it.
        context.pop("deadline", None)
        return context

    def handle_result(
        self, message: Message, began: float, worker_ctx: Any, result: Any, exc_info: Any
    ) -> tuple[Any, Any]:
        outcome = metrics.HANDLED if exc_info is None else self._settle_failed(message, exc_info[1])
        self.count(began, outcome)
        if exc_info is None:
            self.queue_consumer.ack_message(message)
        return result, exc_info

    def _settle_failed(self, message: Message, error: Exception) -> str:
        attempt = _attempts_before(message)
        if isinstance(error, Invalid):
            outcome, then = metrics.DEAD, partial(self._bury, message, INVALID, f"{error.detail} {error.errors}")
        elif is_outage(error):
            outcome, then = metrics.PUT_OFF, partial(self._put_off, message, OUTAGE_DELAY_S, attempt)
        elif attempt < len(DELAYS_S):
            outcome, then = metrics.RETRIED, partial(self._put_off, message, DELAYS_S[attempt], attempt + 1)
        else:
            outcome, then = metrics.DEAD, partial(self._bury, message, "handler_failed", told(error))
        return self._settle_by(message, outcome, then)

    def _settle_by(self, message: Message, outcome: str, publish: Any) -> str:
        """Acknowledge once `publish` has put the message elsewhere; else let the broker deliver it again.

        Returns the outcome: the one given, or that the message returns to its queue.
        """
        try:
            publish()
        except Unavailable as error:
            log.warning("an event could not be put off and returns to its queue", extra={"reason": str(error)})
            self.queue_consumer.requeue_message(message)
            return metrics.RETURNED
        self.queue_consumer.ack_message(message)
        return outcome

    def count(self, began: float, outcome: str) -> None:
        """Count an event that came at `began` and is settled now."""
        seconds = time.monotonic() - began
        metrics.EVENTS_HANDLED.record(seconds, self.source_service, self.event_type, self.method_name, outcome)

    def _put_off(self, message: Message, delay_s: int, attempt: int) -> None:
        self.publisher.publish(
            "",
            retry_queue(self.queue, delay_s).name,
            raw_body(message),
            headers={**message.headers, ATTEMPT: attempt, ORIGIN: _origin(message)},
            content_type=message.content_type or "application/json",
            content_encoding=message.content_encoding or "utf-8",
            timestamp=message.properties.get("timestamp"),
        )

    def _bury(self, message: Message, reason: str, detail: str) -> None:
        request_id = message.headers.get("nameko.request_id")
        # What is wrong with an invalid event names its members, which may be anybody's text: the dead letter has it.
        log.error(
            "an event cannot be handled",
            extra={
                "queue": self.queue.name,
                "reason": reason,
                "detail": None if reason == INVALID else detail,
                "request_id": request_id,
            },
        )
        dead_letters.publish(
            self.publisher,
            self.queue.name,
            raw_body(message),
            reason,
            detail,
            headers=message.headers,
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            timestamp=message.properties.get("timestamp"),
            origin=_origin(message),
        )


def _origin(message: Message) -> str:
    info = message.delivery_info
    return dead_letters.origin_of(info.get("exchange", ""), info.get("routing_key", ""), message.headers)


def _attempts_before(message: Message) -> int:
    value = message.headers.get(ATTEMPT)
    # Anyone may have published it: a header of the wrong kind must not end the service.
    return value if isinstance(value, int) and value > 0 else 0


event_handler = EventHandler.decorator
