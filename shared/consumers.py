"""A queue consumer that survives its broker.

Nameko's QueueConsumer catches `amqp`'s own ConnectionError when it acknowledges, but not the builtin ones
(`ConnectionResetError`, `BrokenPipeError`), so an ack on a connection that has just broken kills the container.
It also lets kombu acknowledge, and so lose, a message whose body cannot be decoded.
"""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import eventlet
from kombu import Connection, Consumer, Queue
from kombu.message import Message
from nameko.messaging import QueueConsumer as NamekoQueueConsumer

from shared.amqp import BROKER_ERRORS, connection, read_ahead

log = logging.getLogger(__name__)

MAX_BACKOFF = 2.0
CAREFUL_S = 30.0


def settle(action: Any) -> None:
    """Run an ack, a reject or a requeue; on a lost connection the broker takes the message back by itself."""
    try:
        action()
    except BROKER_ERRORS as error:
        log.info("a message could not be settled, the broker will deliver it again: %r", error)


def raw_body(message: Message) -> bytes:
    """The message's bytes, whether or not they have been decoded."""
    body = message.body
    return body.encode("utf-8", "surrogateescape") if isinstance(body, str) else bytes(body)


def _received(channel: Any, raw: Any) -> Message:
    """The message as it came: kombu would decompress it, without a limit, and acknowledge what it cannot."""
    headers = raw.properties.get("application_headers")
    if headers:
        headers.pop("compression", None)
    message: Message = channel.Message(raw, channel=channel)
    return message


def _leave_as_they_come(channel: Any) -> None:
    channel.auto_decode = False
    channel.message_to_python = partial(_received, channel)


class Gathering(ABC):
    """A provider that QueueConsumer gives its messages as they come, without a greenlet each."""

    queue: Queue
    prefetch_count: int

    @abstractmethod
    def receive(self, message: Message) -> None:
        """Take a message that is not decoded; must not wait."""

    @abstractmethod
    def forget(self) -> None:
        """The connection is a new one: what was received and is not handed on comes again."""


class QueueConsumer(NamekoQueueConsumer):
    """Consumes for all providers of a container on one connection; reconnects within seconds."""

    _careful_until = 0.0

    @property
    def prefetch_count(self) -> int:
        return 1 if self._careful_until else int(self.container.max_workers)

    def run(self, **kwargs: Any) -> None:
        while not self.should_stop:
            try:
                super().run(**kwargs)
            except Exception:  # whatever the client library makes of odd bytes
                # A message that the client library cannot read. One at a time, so that the delivery limit of its
                # queue sends it to the dead letters alone.
                log.exception("a message cannot be received")
                self._careful_until = time.monotonic() + CAREFUL_S
                eventlet.sleep(0.1)

    @property
    def connection(self) -> Connection:
        return connection(self.amqp_uri)

    @contextmanager
    def establish_connection(self) -> Iterator[Connection]:
        with self.create_connection() as conn:
            # kombu's own steps (4, 6, 8 s ...) leave a service deaf long after the broker is back, and do not
            # notice that the service is asked to stop meanwhile.
            backoff = 0.2
            while not conn.connected:
                try:
                    read_ahead(conn.connect())
                except BROKER_ERRORS as error:
                    log.warning("waiting for the broker", extra={"reason": repr(error), "retry_in_s": backoff})
                    self._drop_unregistered()
                    if self.should_stop:
                        raise ConnectionAbortedError("asked to stop while the broker is away") from error
                    eventlet.sleep(backoff)
                    backoff = min(backoff * 2, MAX_BACKOFF)
            yield conn

    def _drop_unregistered(self) -> None:
        for provider, removed in list(self._pending_remove_providers.items()):
            del self._pending_remove_providers[provider]
            self._consumers.pop(provider, None)
            removed.send()
        if self._consumers_ready.ready() and not self._consumers:
            self.should_stop = True

    def get_consumers(self, consumer_cls: Any, channel: Any) -> Any:
        _leave_as_they_come(channel)
        for provider in self._providers:
            if isinstance(provider, Gathering):
                consumer = self._gathering_consumer(provider, channel)
            else:
                consumer = consumer_cls(
                    queues=[provider.queue], on_message=partial(self._on_message, provider), accept=self.accept
                )
                consumer.qos(prefetch_count=self.prefetch_count)
            self._consumers[provider] = consumer
        return self._consumers.values()

    def _gathering_consumer(self, provider: "Gathering", channel: Any) -> Consumer:
        # With a channel of its own, so that one acknowledgement can stand for many of its messages.
        own = channel.connection.channel()
        _leave_as_they_come(own)
        provider.forget()
        consumer = Consumer(own, queues=[provider.queue], on_message=provider.receive, accept=self.accept)
        consumer.qos(prefetch_count=1 if self._careful_until else provider.prefetch_count)
        return consumer

    def on_iteration(self) -> None:
        super().on_iteration()
        if self._careful_until and time.monotonic() >= self._careful_until:
            self._careful_until = 0.0
            raise ConnectionAbortedError("consuming in full again")

    def _on_message(self, provider: Any, message: Message) -> None:
        self.container.spawn_managed_thread(
            partial(self._deliver, provider, message), identifier=f"{type(provider).__name__}.deliver"
        )

    def _deliver(self, provider: Any, message: Message) -> None:
        try:
            body = message.decode()
        except Exception as error:  # whatever the bytes provoke in a decoder is the message's fault
            provider.handle_undecodable(message, error)
        else:
            provider.handle_message(body, message)

    def ack_message(self, message: Message) -> None:
        settle(message.ack)

    def requeue_message(self, message: Message) -> None:
        settle(message.requeue)
