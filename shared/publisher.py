"""Publishing with confirms: one connection per process, any number of messages in flight.

Nameko's publisher builds a connection object per message, waits for each confirm with a channel of its own, and
waits for ever on a broker that is silent. Here a writer greenlet sends and a reader greenlet settles, so many
callers share one channel, each with its own time limit; a caller that gives up never leaves half a frame behind.
Requests and their replies travel on the same connection, without confirms: their deadline covers their loss.
"""

import contextlib
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import amqp
import amqp.serialization
import eventlet
from eventlet.queue import Empty, LightQueue
from nameko.extensions import DependencyProvider, SharedExtension

from shared import publisher_metrics as metrics
from shared.broker_link import DIRECT_REPLY, Link, Outgoing, Request, Unroutable
from shared.errors import DeadlineExceeded, Unavailable

log = logging.getLogger(__name__)

MAX_BACKOFF = 2.0
CONNECT_LIMIT_S = 10
STOP_LIMIT_S = 0.5
MAX_HEADERS = 65_536
PERSISTENT, TRANSIENT = 2, 1
JSON = "application/json"
# Messages after which the writer lets others run: reading confirms, answering calls.
WRITTEN_AT_ONCE = 50


class ConfirmingPublisher:
    """Publishes over one connection that mends itself.

    `start()` and `stop()` belong to the process; `publish` may be called by any number of greenlets.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._outgoing: LightQueue = LightQueue()
        self._main: Any = None
        self._connected = False
        self._link: Link | None = None

    def start(self) -> None:
        if self._main is None:
            metrics.CONNECTED.set_function(self.is_connected)
            metrics.IN_FLIGHT.set_function(self.in_flight)
            self._main = eventlet.spawn(self._run)

    def stop(self) -> None:
        """End, once what was handed over before has reached a broker that is there."""
        if self._connected:
            with contextlib.suppress(Unavailable):
                self.check(STOP_LIMIT_S)
        self.kill()

    def kill(self) -> None:
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

    def awaited(self) -> int:
        """Requests whose reply is waited for."""
        return len(self._link.requests) if self._link is not None else 0

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
        item = outgoing(
            exchange,
            routing_key,
            body,
            headers=headers,
            content_type=content_type,
            content_encoding=content_encoding,
            persistent=persistent,
            mandatory=mandatory,
            timestamp=timestamp,
            message_id=message_id,
            correlation_id=correlation_id,
            reply_to=reply_to,
            expiration_ms=expiration_ms,
        )
        self._outgoing.put(item)
        with eventlet.Timeout(max(timeout, 0), False):
            item.settled.wait()
            return
        raise _given_up(item)

    def publish_many(self, items: Sequence[Outgoing], timeout: float) -> list[Unavailable | None]:
        """Send all of `items`, and return once each is confirmed or has failed, after `timeout` seconds at the latest.

        For each why it is not confirmed (it may have arrived all the same), or None. All are in flight together, so
        that they cost one wait and no greenlet each.
        """
        for item in items:
            self._outgoing.put(item)
        with eventlet.Timeout(max(timeout, 0), False):
            for item in items:
                with contextlib.suppress(Unavailable):
                    item.settled.wait()
        return [_outcome(item) for item in items]

    def request(
        self, exchange: str, routing_key: str, body: bytes, *, headers: Mapping[str, Any], timeout: float
    ) -> bytes:
        """Send a request and return the body of its reply.

        It is lost with the connection, and dropped by the broker when nobody has begun it within `timeout` seconds.
        Raises Unroutable when no queue took it, Unavailable when the broker is away or silent, DeadlineExceeded when
        no reply came in time.
        """
        _check_headers(headers)
        correlation_id, sent_at = str(uuid.uuid4()), time.monotonic()
        message = amqp.Message(
            body,
            content_type=JSON,
            content_encoding="utf-8",
            delivery_mode=TRANSIENT,
            application_headers=dict(headers),
            correlation_id=correlation_id,
            reply_to=DIRECT_REPLY,
            expiration=str(max(int(timeout * 1000), 1)),
        )
        item = Request(message, exchange, routing_key, correlation_id)
        self._outgoing.put(item)
        try:
            return self._await_reply(item, sent_at, timeout)
        finally:
            item.abandoned = True
            if self._link is not None:
                self._link.requests.pop(correlation_id, None)

    def _await_reply(self, item: Request, sent_at: float, timeout: float) -> bytes:
        with eventlet.Timeout(timeout / 2, False):
            return bytes(item.settled.wait())
        # Whatever comes back, a return or a confirm, shows that the broker is there and the service is slow.
        probe = amqp.Message(b"", delivery_mode=TRANSIENT, message_id=str(uuid.uuid4()))
        self._outgoing.put(Outgoing(probe, "", f"check.{uuid.uuid4()}", mandatory=True))
        with eventlet.Timeout(timeout / 2, False):
            return bytes(item.settled.wait())
        if self._link is None or self._link.received_at < sent_at:
            metrics.TIMED_OUT.inc()
            raise Unavailable("The broker did not answer in time.", {"retry_after": 2})
        raise DeadlineExceeded("No reply came in time.")

    def reply(self, exchange: str, routing_key: str, body: bytes, correlation_id: str | None) -> None:
        """Send the reply to a request; nothing says whether it arrives, but its caller's deadline."""
        properties = {"correlation_id": correlation_id} if correlation_id is not None else {}
        message = amqp.Message(body, content_type=JSON, content_encoding="utf-8", delivery_mode=TRANSIENT, **properties)
        self._outgoing.put(Request(message, exchange, routing_key, None))

    def _run(self) -> None:
        backoff = 0.1
        link: Link | None = None
        try:
            while True:
                error: Exception = ConnectionError("never connected")
                try:
                    with eventlet.Timeout(CONNECT_LIMIT_S, ConnectionError("the broker has gone silent")):
                        link = Link(self._uri)
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

    def _serve(self, link: Link) -> None:
        writer = eventlet.spawn(self._write, link)
        try:
            link.read()
        finally:
            writer.kill()

    def _write(self, link: Link) -> None:
        written = 0
        try:
            while True:
                try:
                    item = self._outgoing.get(timeout=1)
                except Empty:
                    link.send_heartbeat()
                    continue
                if not item.abandoned:
                    link.send(item)
                    written += 1
                    if written % WRITTEN_AT_ONCE == 0:
                        eventlet.sleep(0)
        except Exception as error:  # tags and confirms may not agree any more, so the reader ends this link
            link.broken = error

    def _fail_all(self, link: Link | None) -> None:
        error = _away(None)
        if link is not None:
            link.close(error)
        while not self._outgoing.empty():
            self._outgoing.get_nowait().settle(error)


def outgoing(
    exchange: str,
    routing_key: str,
    body: bytes,
    *,
    headers: Mapping[str, Any] | None = None,
    content_type: str = JSON,
    content_encoding: str = "utf-8",
    persistent: bool = True,
    mandatory: bool = True,
    timestamp: int | None = None,
    message_id: str | None = None,
    correlation_id: str | None = None,
    reply_to: str | None = None,
    expiration_ms: int | None = None,
) -> Outgoing:
    """A message for `publish_many`. Raises ValueError for headers that cannot be sent."""
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
    return Outgoing(amqp.Message(body, **present), exchange, routing_key, mandatory)


def _outcome(item: Outgoing) -> Unavailable | None:
    if not item.settled.ready():
        return _given_up(item)
    try:
        item.settled.wait()
    except Unavailable as error:
        return error
    return None


def _given_up(item: Outgoing) -> Unavailable:
    item.abandoned = True
    metrics.TIMED_OUT.inc()
    return Unavailable("The broker did not confirm in time.", {"retry_after": 2})


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

    def kill(self) -> None:
        if self.core is not None:
            self.core.kill()

    def publish(self, exchange: str, routing_key: str, body: bytes, **options: Any) -> None:
        """See `ConfirmingPublisher.publish`."""
        assert self.core is not None, "set up before use"
        self.core.publish(exchange, routing_key, body, **options)

    def publish_many(self, items: Sequence[Outgoing], timeout: float) -> list[Unavailable | None]:
        """See `ConfirmingPublisher.publish_many`."""
        assert self.core is not None, "set up before use"
        return self.core.publish_many(items, timeout)

    def request(self, exchange: str, routing_key: str, body: bytes, **options: Any) -> bytes:
        """See `ConfirmingPublisher.request`."""
        assert self.core is not None, "set up before use"
        return self.core.request(exchange, routing_key, body, **options)

    def reply(self, exchange: str, routing_key: str, body: bytes, correlation_id: str | None) -> None:
        """See `ConfirmingPublisher.reply`."""
        assert self.core is not None, "set up before use"
        self.core.reply(exchange, routing_key, body, correlation_id)


class Publisher(DependencyProvider):
    """Injects the container's ConfirmingPublisher."""

    shared = SharedPublisher()

    def get_dependency(self, worker_ctx: Any) -> ConfirmingPublisher:
        assert self.shared.core is not None, "set up before use"
        return self.shared.core
