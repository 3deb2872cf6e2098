"""Queues as this system declares them: durable, replicated where there is a cluster, each with a dead-letter queue."""

import logging

import eventlet
from amqp.exceptions import NotFound, PreconditionFailed
from kombu import Connection, Exchange, Queue, binding

log = logging.getLogger(__name__)

DEAD_SUFFIX = ".dead"
# Deliveries that ended without an answer (a crash, a lost connection) before a message counts as the cause. Many: while
# a database is away the broker takes unanswered messages back every half an hour (its consumer_timeout).
DELIVERY_LIMIT = 100
# A look at a dead letter counts as a delivery too, and a RabbitMQ from 4.0 on drops what was delivered 20 times unless
# its queue says otherwise. A number, because older ones know no -1. It also has what was looked at return to its place.
LOOKS_LIMIT = 1_000_000
ATTEMPTS, AGAIN_S = 10, 0.3


def durable_queue(name: str, exchange: Exchange, routing_keys: list[str]) -> Queue:
    """A quorum queue bound by `routing_keys`; what kills its consumers again and again goes to `<name>.dead`."""
    return Queue(
        name,
        bindings=[binding(exchange, routing_key=key) for key in routing_keys],
        durable=True,
        queue_arguments={
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": name + DEAD_SUFFIX,
            # At least once: a dead letter is confirmed on its queue before it leaves this one.
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )


def dead_letter_queue(queue: Queue) -> Queue:
    """Where what cannot be handled waits for an operator."""
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": LOOKS_LIMIT}
    return Queue(queue.name + DEAD_SUFFIX, durable=True, queue_arguments=arguments)


def declare(connection: Connection, queues: list[Queue]) -> None:
    """Declare `queues` with their exchanges and bindings; repeating it has no effect.

    Raises TopologyMismatch when one is there with other arguments, which the broker does not change; but for a
    dead-letter queue with another delivery limit, which keeps letters all the same.
    """
    for queue in queues:
        try:
            _declare(connection, queue)
        except PreconditionFailed as error:
            if queue.name.endswith(DEAD_SUFFIX) and "'x-delivery-limit'" in error.reply_text:
                log.warning("a dead-letter queue is there with another delivery limit", extra={"queue": queue.name})
                continue
            raise TopologyMismatch(
                f"The queue {queue.name} is there with other arguments than this version's"
                f" ({error.reply_text}). Let its consumers empty it, delete it, and start again."
            ) from None


def _declare(connection: Connection, queue: Queue) -> None:
    attempts = ATTEMPTS
    while True:
        attempts -= 1
        try:
            with connection.channel() as channel:
                queue(channel).declare()
            return
        except NotFound:
            # So RabbitMQ answers while another process has it make this very queue.
            if not attempts:
                raise
            eventlet.sleep(AGAIN_S)


class TopologyMismatch(Exception):
    """A queue of another version, or of somebody else, has one of our names."""
