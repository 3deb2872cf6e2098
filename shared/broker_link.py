"""One connection to the broker for all that a process publishes and calls, with what is under way on it.

Confirms and returns: RabbitMQ, "Consumer Acknowledgements and Publisher Confirms"; AMQP 0-9-1, `basic.return`.
"""

import contextlib
import time
from collections.abc import Iterable
from itertools import takewhile

import amqp
from eventlet.event import Event

from shared import publisher_metrics as metrics
from shared.amqp import HEARTBEAT, connection, read_ahead
from shared.consumers import raw_body
from shared.errors import Unavailable

DIRECT_REPLY = "amq.rabbitmq.reply-to"


class Unroutable(Unavailable):
    """No queue took the message."""


class Outgoing:
    """A message on its way; `settled` is sent None once confirmed, or an exception."""

    __slots__ = ("abandoned", "exchange", "mandatory", "message", "returned", "routing_key", "settled")

    def __init__(self, message: amqp.Message, exchange: str, routing_key: str, mandatory: bool) -> None:
        self.message, self.exchange, self.routing_key, self.mandatory = message, exchange, routing_key, mandatory
        self.settled = Event()
        self.abandoned = self.returned = False

    def settle(self, error: Exception | None = None) -> None:
        if self.settled.ready():
            return
        if error is None and self.returned:
            error = Unroutable(f"Nothing takes messages for {self.routing_key}.")
        if error is None:
            self.settled.send(None)
        else:
            self.settled.send_exception(error)


class Request:
    """A call on its way, or the reply to one; `settled` is sent the reply's body, or an exception."""

    __slots__ = ("abandoned", "correlation_id", "exchange", "message", "routing_key", "settled")

    def __init__(self, message: amqp.Message, exchange: str, routing_key: str, correlation_id: str | None) -> None:
        self.message, self.exchange, self.routing_key = message, exchange, routing_key
        self.correlation_id = correlation_id
        self.settled = Event()
        self.abandoned = False

    def settle(self, error: Exception) -> None:
        if not self.settled.ready():
            self.settled.send_exception(error)


class Link:
    """One established connection: its channels, and what it has sent that is not settled yet.

    One channel has confirms. The other has none, and takes what a deadline covers: requests and replies, through
    RabbitMQ's direct reply-to ("Direct Reply-to" in its documentation), so without a queue and its acknowledgements.
    """

    def __init__(self, uri: str) -> None:
        self._connection = connection(uri)
        self._transport = self._connection.connect()
        read_ahead(self._transport)
        # py-amqp reads from the socket before each publish if this is set; only the reader may read here.
        self._transport.client_properties["capabilities"]["connection.blocked"] = False
        self._channel = self._transport.channel()
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_nack)
        self._channel.events["basic_return"].add(self._on_return)
        self.unconfirmed: dict[int, Outgoing] = {}
        self._by_id: dict[str, Outgoing] = {}
        self._tag = 0
        self.broken: Exception | None = None
        self.received_at = time.monotonic()
        self._calls = self._transport.channel()
        self._calls.events["basic_return"].add(self._on_request_returned)
        self._calls.basic_consume(DIRECT_REPLY, no_ack=True, callback=self._on_reply)
        self.requests: dict[str, Request] = {}

    def send(self, item: Outgoing | Request) -> None:
        if isinstance(item, Request):
            if item.correlation_id is not None:
                self.requests[item.correlation_id] = item
            self._calls.basic_publish(
                item.message,
                exchange=item.exchange,
                routing_key=item.routing_key,
                mandatory=item.correlation_id is not None,
            )
            return
        self._tag += 1
        self.unconfirmed[self._tag] = item
        self._by_id[item.message.properties["message_id"]] = item
        self._channel.basic_publish(
            item.message, exchange=item.exchange, routing_key=item.routing_key, mandatory=item.mandatory
        )

    def send_heartbeat(self) -> None:
        self._transport.heartbeat_tick()

    def read(self) -> None:
        """Settle what the broker confirms, until the connection is lost (raises one of BROKER_ERRORS)."""
        received, self.received_at = self._transport.bytes_recv, time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                self._transport.drain_events(timeout=1)
            if self.broken is not None:
                raise ConnectionError("a message could not be sent") from self.broken
            if self._transport.bytes_recv != received:
                received, self.received_at = self._transport.bytes_recv, time.monotonic()
            elif time.monotonic() - self.received_at > 2 * HEARTBEAT:
                raise ConnectionError("the broker has gone silent")

    def close(self, error: Exception) -> None:
        metrics.LOST.inc(len(self.unconfirmed))
        for item in self.unconfirmed.values():
            item.settle(error)
        self.unconfirmed.clear()
        self._by_id.clear()
        for request in self.requests.values():
            request.settle(error)
        self.requests.clear()
        # Closing politely would wait for a broker that may be gone.
        self._transport.collect()

    def _take(self, tag: int, multiple: bool) -> Iterable[Outgoing]:
        # Tags are sent, and so kept, in ascending order.
        tags = list(takewhile(lambda sent: sent <= tag, self.unconfirmed)) if multiple else [tag]
        for each in tags:
            item = self.unconfirmed.pop(each, None)
            if item is not None:
                self._by_id.pop(item.message.properties["message_id"], None)
                yield item

    def _on_ack(self, tag: int, multiple: bool) -> None:
        for item in self._take(tag, multiple):
            item.settle()

    def _on_nack(self, tag: int, multiple: bool, requeue: bool = False) -> None:
        for item in self._take(tag, multiple):
            metrics.REFUSED.inc()
            item.settle(Unavailable("The broker refused the message.", {"retry_after": 1}))

    def _on_return(self, exc: Exception, exchange: str, routing_key: str, message: amqp.Message) -> None:
        # The return of a message always precedes its confirm.
        item = self._by_id.get(message.properties.get("message_id", ""))
        if item is not None:
            item.returned = True

    def _on_reply(self, message: amqp.Message) -> None:
        request = self.requests.pop(message.properties.get("correlation_id", ""), None)
        if request is not None:
            request.settled.send(raw_body(message))

    def _on_request_returned(self, exc: Exception, exchange: str, routing_key: str, message: amqp.Message) -> None:
        request = self.requests.pop(message.properties.get("correlation_id", ""), None)
        if request is not None:
            request.settle(Unroutable(f"Nothing takes messages for {routing_key}."))
