"""Publishing with confirms: one connection per process, any number of messages in flight.

Nameko's publisher builds a connection object per message, waits for each confirm with a channel of its own, and
waits for ever on a broker that is silent. Here a writer greenlet sends and a reader greenlet settles, so many
callers share one channel, each with its own time limit; a caller that gives up never leaves half a frame behind.

Confirms and returns: RabbitMQ, "Consumer Acknowledgements and Publisher Confirms"; AMQP 0-9-1, `basic.return`.
"""

import contextlib
import logging
import time
import uuid
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Any

import amqp
import amqp.serialization
import eventlet
from eventlet.event import Event
from eventlet.queue import Empty, LightQueue
from nameko.extensions import DependencyProvider, SharedExtension

from shared import publisher_metrics as metrics
from shared.amqp import HEARTBEAT, connection
from shared.errors import Unavailable

log = logging.getLogger(__name__)

MAX_BACKOFF = 2.0
CONNECT_LIMIT_S = 10
MAX_HEADERS = 65_536
PERSISTENT, TRANSIENT = 2, 1
JSON = "application/json"


class Unroutable(Unavailable):
    """No queue took the message."""


class _Outgoing:
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


class _Link:
    """One established connection: its channel, and what it has sent that is not confirmed yet."""

    def __init__(self, uri: str) -> None:
        self._connection = connection(uri)
        self._transport = self._connection.connect()
        # py-amqp reads from the socket before each publish if this is set; only the reader may read here.
        self._transport.client_properties["capabilities"]["connection.blocked"] = False
        self._channel = self._transport.channel()
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_nack)
        self._channel.events["basic_return"].add(self._on_return)
        self.unconfirmed: dict[int, _Outgoing] = {}
        self._by_id: dict[str, _Outgoing] = {}
        self._tag = 0
        self.broken: Exception | None = None

    def send(self, item: _Outgoing) -> None:
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
        received, since = self._transport.bytes_recv, time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                self._transport.drain_events(timeout=1)
            if self.broken is not None:
                raise ConnectionError("a message could not be sent") from self.broken
            if self._transport.bytes_recv != received:
                received, since = self._transport.bytes_recv, time.monotonic()
            elif time.monotonic() - since > 2 * HEARTBEAT:
                raise ConnectionError("the broker has gone silent")

    def close(self, error: Exception) -> None:
        metrics.LOST.inc(len(self.unconfirmed))
        for item in self.unconfirmed.values():
            item.settle(error)
        self.unconfirmed.clear()
        self._by_id.clear()
        # Closing politely would wait for a broker that may be gone.
        self._transport.collect()

    def _take(self, tag: int, multiple: bool) -> Iterable[_Outgoing]:
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


class ConfirmingPublisher:
    """Publishes over one connection that mends itself.

    `start()` and `stop()` belong to the process; `publish` may be called by any number of greenlets.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._outgoing: LightQueue = LightQueue()
        self._main: Any = None
        self._connected = False
        self._link: _Link | None = None

    def start(self) -> None:
        if self._main is None:
            metrics.CONNECTED.set_function(self.is_connected)
            metrics.IN_FLIGHT.set_function(self.in_flight)
            self._main = eventlet.spawn(self._run)

    def stop(self) -> None:
        if self._main is not None:
            self._main.kill()
            self._main = None

    def is_connected(self) -> bool:
        """Whether the connection stands, as far as this side knows."""
        return self._connected

    def in_flight(self) -> int:
        """Messages that are not confirmed yet, those included that are not sent yet."""
        link = self._link
        return self._outgoing.qsize() + (len(link.unconfirmed) if link is not None else 0)

    def check(self, timeout: float = 1.0) -> None:
        """One round trip to the broker; raises Unavailable when it does not answer in `timeout` seconds."""
        try:
            # The default exchange returns what has no queue: an answer without an effect.
            self.publish("", f"check.{uuid.uuid4()}", b"", persistent=False, timeout=timeout)
        except Unroutable:
            return

    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        *,
        headers: Mapping[str, Any] | None = None,
        content_type: str = JSON,
        content_encoding: str = "utf-8",
        persistent: bool = True,
        mandatory: bool = True,
        timeout: float = 3.0,
        timestamp: int | None = None,
        message_id: str | None = None,
        correlation_id: str | None = None,
        reply_to: str | None = None,
        expiration_ms: int | None = None,
    ) -> None:
        """Return once the broker has confirmed the message.

        Raises Unroutable (a kind of Unavailable) when it is `mandatory` and no queue took it, Unavailable when the
        broker is away, refuses it, or has not confirmed within `timeout` seconds (it may have it all the same).
        Raises ValueError for headers that cannot be sent: they would cost everybody the connection.
        """
        _check_headers(headers or {})
        properties: dict[str, Any] = {
            "content_type": content_type,
            "content_encoding": content_encoding,
            "delivery_mode": PERSISTENT if persistent else TRANSIENT,
            "message_id": message_id or str(uuid.uuid4()),
            "application_headers": dict(headers or {}),
            "timestamp": timestamp,
            "correlation_id": correlation_id,
            "reply_to": reply_to,
            "expiration": None if expiration_ms is None else str(expiration_ms),
        }
        present = {name: value for name, value in properties.items() if value is not None}
        item = _Outgoing(amqp.Message(body, **present), exchange, routing_key, mandatory)
        self._outgoing.put(item)
        with eventlet.Timeout(max(timeout, 0), False):
            item.settled.wait()
            return
        item.abandoned = True
        metrics.TIMED_OUT.inc()
        raise Unavailable("The broker did not confirm in time.", {"retry_after": 2})

    def _run(self) -> None:
        backoff = 0.1
        link: _Link | None = None
        try:
            while True:
                error: Exception = ConnectionError("never connected")
                try:
                    with eventlet.Timeout(CONNECT_LIMIT_S, ConnectionError("the broker has gone silent")):
                        link = _Link(self._uri)
                    self._link, self._connected, backoff = link, True, 0.1
                    metrics.CONNECTIONS.inc()
                    log.info("publisher connected")
                    self._serve(link)
                except Exception as exc:  # also what an odd frame provokes: without this loop nothing is published
                    error = exc
                self._connected = False
                log.warning("publisher lost the broker", extra={"reason": repr(error), "retry_in_s": backoff})
                self._fail_all(link)
                self._link = link = None
                eventlet.sleep(backoff)
                backoff = min(backoff * 2, MAX_BACKOFF)
        finally:
            self._connected = False
            self._fail_all(link)

    def _serve(self, link: _Link) -> None:
        writer = eventlet.spawn(self._write, link)
        try:
            link.read()
        finally:
            writer.kill()

    def _write(self, link: _Link) -> None:
        try:
            while True:
                try:
                    item = self._outgoing.get(timeout=1)
                except Empty:
                    link.send_heartbeat()
                    continue
                if not item.abandoned:
                    link.send(item)
        except (
            Exception
        ) as error:  # whatever it was: tags and confirms may not agree any more, so the reader ends this link
            link.broken = error

    def _fail_all(self, link: _Link | None) -> None:
        error = _away(None)
        if link is not None:
            link.close(error)
        while not self._outgoing.empty():
            self._outgoing.get_nowait().settle(error)


def _check_headers(headers: Mapping[str, Any]) -> None:
    try:
        size = len(amqp.serialization.dumps("F", [dict(headers)]))
    except Exception as error:  # what odd values provoke in the encoder is the caller's fault
        raise ValueError(f"headers that AMQP has no type for: {error!r}") from None
    if size > MAX_HEADERS:
        raise ValueError(f"headers of {size} bytes, more than {MAX_HEADERS}")


def _away(cause: Exception | None) -> Unavailable:
    error = Unavailable("The broker is away.", {"retry_after": 2})
    error.__cause__ = cause
    return error


class SharedPublisher(SharedExtension):
    """The container's one ConfirmingPublisher, for extensions and for `Publisher`."""

    def __init__(self) -> None:
        super().__init__()
        self.core: ConfirmingPublisher | None = None

    def setup(self) -> None:
        self.core = ConfirmingPublisher(self.container.config["AMQP_URI"])
        self.core.start()

    def stop(self) -> None:
        if self.core is not None:
            self.core.stop()

    kill = stop

    def publish(self, exchange: str, routing_key: str, body: bytes, **options: Any) -> None:
        """See `ConfirmingPublisher.publish`."""
        assert self.core is not None, "set up before use"
        self.core.publish(exchange, routing_key, body, **options)


class Publisher(DependencyProvider):
    """Injects the container's ConfirmingPublisher."""

    shared = SharedPublisher()

    def get_dependency(self, worker_ctx: Any) -> ConfirmingPublisher:
        assert self.shared.core is not None, "set up before use"
        return self.shared.core
