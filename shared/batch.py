"""A batch entrypoint: many messages, one call of the service method, one acknowledgement.

Nameko hands over message by message. Here a method gets up to `max_messages` at once, or what came within
`max_wait` seconds of the first, makes one transaction of them and returns the dead letters; the acknowledgement
follows the commit. A batch that fails is tried again message by message before any of them is judged. An outage
of the database or the broker is no message's fault: consuming pauses, and nothing is counted against a message.
"""

import logging
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import amqp
import eventlet
from eventlet.event import Event
from kombu import Queue
from nameko.exceptions import ContainerBeingKilled
from nameko.extensions import Entrypoint

from shared import dead_letters
from shared import message_metrics as metrics
from shared.amqp import BROKER_ERRORS, HEARTBEAT, connection, read_ahead
from shared.arrivals import Arrivals
from shared.consumers import MAX_BACKOFF, raw_body, settle
from shared.errors import Unavailable
from shared.log import told
from shared.metrics import OK
from shared.outage import is_outage
from shared.publisher import SharedPublisher
from shared.queue_watch import QueueWatch
from shared.topology import dead_letter_queue, declare

log = logging.getLogger(__name__)

# A message that was delivered this often without an answer may be what crashes its consumers: it is handled alone.
SUSPICIOUS_DELIVERIES = 2
REQUEST_ID = "nameko.request_id"
# Of a message that several requests have brought together.
REQUEST_IDS = "nameko.request_ids"
MAX_PAUSE_S = 5.0
MAX_GATHER_S = 0.3
CAREFUL_S = 30.0


@dataclass(frozen=True)
class Delivery:
    """One message as it came: raw `body`, the `routing_key` it was first published with, AMQP `timestamp` in Unix
    seconds or None."""

    body: bytes
    routing_key: str
    timestamp: int | None = None
    headers: dict[str, Any] = field(default_factory=dict)
    content_type: str | None = None
    content_encoding: str | None = None

    @classmethod
    def of(cls, message: amqp.Message) -> "Delivery":
        """Nothing of it is decoded: kombu would also decompress, without a limit, whatever a header tells it to."""
        properties, info = message.properties, message.delivery_info
        headers = dict(properties.get("application_headers") or {})
        return cls(
            body=raw_body(message),
            routing_key=dead_letters.origin_of(info.get("exchange", ""), info.get("routing_key", ""), headers),
            timestamp=properties.get("timestamp"),
            headers=headers,
            content_type=properties.get("content_type"),
            content_encoding=properties.get("content_encoding"),
        )

    @property
    def deliveries(self) -> int:
        """How often the broker has delivered it before, without an answer."""
        count = self.headers.get("x-delivery-count", 0)
        return count if isinstance(count, int) else 0


@dataclass(frozen=True)
class DeadLetter:
    """What of a delivery cannot be handled: the `body` to keep, and why."""

    delivery: Delivery
    body: bytes
    reason: str
    detail: str


class BatchConsumer(Entrypoint):
    """`@batch_consume(queue)`: the method takes a list of Delivery and returns an iterable of DeadLetter."""

    publisher = SharedPublisher()
    watch = QueueWatch()

    def __init__(
        self, queue: Queue, max_messages: int = 500, max_bytes: int = 2_000_000, max_wait: float = 0.1, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.queue = queue
        self.max_messages, self.max_bytes, self.max_wait = max_messages, max_bytes, max_wait
        self._stopping = False
        self._careful_until = self._beat_at = self._handled_s = 0.0
        self._main: Any = None
        self._batch_messages = metrics.BATCH_MESSAGES.labels(queue.name)
        self._pauses = metrics.BATCH_PAUSES.labels(queue.name)

    def setup(self) -> None:
        self.watch.add(self.queue.name, dead_letter_queue(self.queue).name)

    def start(self) -> None:
        self._main = self.container.spawn_managed_thread(self._run, identifier=f"{self.queue.name} batches")

    def stop(self) -> None:
        """Finish the batch at hand, and no more; what is not acknowledged goes back to the queue."""
        self._stopping = True
        if self._main is not None:
            self._main.wait()

    def _run(self) -> None:
        backoff = 0.2
        while not self._stopping:
            try:
                with connection(self.container.config["AMQP_URI"]) as conn:
                    read_ahead(conn.connect())
                    backoff = 0.2
                    self._consume(conn)
            except BROKER_ERRORS as error:
                log.warning(
                    "waiting for the broker",
                    extra={"queue": self.queue.name, "reason": repr(error), "retry_in_s": backoff},
                )
                eventlet.sleep(backoff)
                backoff = min(backoff * 2, MAX_BACKOFF)
            except Exception:  # whatever the client library makes of odd bytes
                # A message that the client library cannot read. One at a time, so that the delivery limit sends it
                # to the dead letters alone.
                log.exception("a message cannot be received", extra={"queue": self.queue.name})
                self._careful_until = time.monotonic() + CAREFUL_S
                eventlet.sleep(0.1)

    def _is_careful(self) -> bool:
        return time.monotonic() < self._careful_until

    def _consume(self, conn: Any) -> None:
        declare(conn, [self.queue, dead_letter_queue(self.queue)])
        arrived = Arrivals()
        channel = conn.channel()
        channel.auto_decode = False
        # Twice, so that the next batch arrives while one is handled.
        channel.basic_qos(0, 1 if self._is_careful() else 2 * self.max_messages, False)
        channel.basic_consume(self.queue.name, callback=arrived.put)
        careful = self._is_careful()
        handler = eventlet.spawn(self._handle_batches, arrived, channel)
        try:
            while not handler.dead:
                if careful and not self._is_careful():
                    raise ConnectionAbortedError("consuming in full again")
                if arrived.size > 2 * self.max_bytes:
                    self._let_wait(conn)
                    continue
                try:
                    conn.drain_events(timeout=0.5)
                except TimeoutError:
                    conn.heartbeat_check()
            handler.wait()  # raises what ended it
        finally:
            handler.kill()

    def _let_wait(self, conn: Any) -> None:
        """Read no more for a moment: however large the messages are, what waits here takes little memory."""
        if time.monotonic() - self._beat_at > HEARTBEAT / 4:
            self._beat_at = time.monotonic()
            conn.connection.send_heartbeat()
        eventlet.sleep(0.02)

    def _handle_batches(self, arrived: Arrivals, channel: Any) -> None:
        while not self._stopping:
            # Under load longer: the larger a batch, the less each of its messages costs.
            wait_s = max(self.max_wait, min(2 * self._handled_s, MAX_GATHER_S))
            batch = arrived.gather(self.max_messages, self.max_bytes, wait_s)
            if not batch:
                continue
            deliveries = [Delivery.of(message) for message in batch]
            if any(delivery.deliveries >= SUSPICIOUS_DELIVERIES for delivery in deliveries):
                for message, delivery in zip(batch, deliveries, strict=True):
                    self._handle([delivery])
                    settle(partial(channel.basic_ack, message.delivery_tag))
            else:
                self._handle(deliveries)
                settle(partial(channel.basic_ack, batch[-1].delivery_tag, multiple=True))

    def _handle(self, deliveries: list[Delivery]) -> None:
        """Handle all, or judge each on its own; returns when nothing of them can be lost any more."""
        began, outcome = time.monotonic(), metrics.INTERRUPTED
        try:
            outcome, dead = self._handle_all(deliveries)
        finally:
            seconds = self._handled_s = time.monotonic() - began
            metrics.BATCHES.record(seconds, self.queue.name, outcome)
            self._batch_messages.observe(len(deliveries))
        log.info(
            "a batch is handled",
            extra={
                "queue": self.queue.name,
                "messages": len(deliveries),
                "dead_letters": dead,
                "outcome": outcome,
                "duration_ms": round(seconds * 1000, 1),
                "request_ids": request_ids(deliveries),
            },
        )

    def _handle_all(self, deliveries: list[Delivery]) -> tuple[str, int]:
        """The outcome, and the number of dead letters."""
        outcome = OK
        try:
            dead = self._call_through_outages(deliveries)
        except Exception as error:  # whatever a handler raises: the messages are tried one by one
            if is_outage(error):  # and asked to stop: the messages go back as they came
                raise
            outcome = metrics.SPLIT
            log.warning(
                "a batch failed and is tried again message by message",
                extra={
                    "queue": self.queue.name,
                    "messages": len(deliveries),
                    "reason": told(error),
                    "request_ids": request_ids(deliveries),
                },
            )
            dead = [letter for delivery in deliveries for letter in self._judge(delivery)]
        for letter in dead:
            self._bury(letter)
        return outcome, len(dead)

    def _judge(self, delivery: Delivery) -> list[DeadLetter]:
        try:
            return self._call_through_outages([delivery])
        except Exception as error:  # whatever a handler raises becomes its message's reason
            if is_outage(error):
                raise
            extra = {"queue": self.queue.name, "request_ids": request_ids([delivery])}
            log.exception("a message cannot be handled", extra=extra)
            return [DeadLetter(delivery, delivery.body, "handler_failed", told(error))]

    def _call_through_outages(self, deliveries: list[Delivery]) -> list[DeadLetter]:
        pause = 0.2
        while True:
            try:
                return self._call(deliveries)
            except Exception as error:  # an outage has many classes, is_outage knows them
                if not is_outage(error):
                    raise
                self._pauses.inc()
                log.warning("consuming pauses", extra={"queue": self.queue.name, "reason": repr(error)})
                if self._stopping:
                    raise ConnectionAbortedError("asked to stop during an outage") from error
                eventlet.sleep(pause)
                pause = min(pause * 2, MAX_PAUSE_S)

    def _call(self, deliveries: list[Delivery]) -> list[DeadLetter]:
        done = Event()
        try:
            self.container.spawn_worker(self, (deliveries,), {}, handle_result=partial(self._handle_result, done))
        except ContainerBeingKilled:
            raise ConnectionAbortedError("the container is being killed") from None
        return list(done.wait() or ())

    def _handle_result(self, done: Event, worker_ctx: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
        if exc_info is None:
            done.send(result)
        else:
            done.send_exception(exc_info[1])
        return result, exc_info

    def _bury(self, letter: DeadLetter) -> None:
        pause = 0.2
        while True:
            try:
                dead_letters.publish(
                    self.publisher,
                    self.queue.name,
                    letter.body,
                    letter.reason,
                    letter.detail,
                    headers=letter.delivery.headers,
                    content_type=letter.delivery.content_type,
                    content_encoding=letter.delivery.content_encoding,
                    timestamp=letter.delivery.timestamp,
                    origin=letter.delivery.routing_key,
                )
            except Unavailable as error:
                log.warning(
                    "a dead letter is not confirmed yet", extra={"queue": self.queue.name, "reason": str(error)}
                )
                if self._stopping:
                    raise ConnectionAbortedError("asked to stop with a dead letter unconfirmed") from error
                eventlet.sleep(pause)
                pause = min(pause * 2, MAX_PAUSE_S)
            else:
                return


def request_ids(deliveries: list[Delivery]) -> list[str]:
    """The ids of the requests that the messages come from, each once."""
    return sorted({request_id for each in deliveries for request_id in _request_ids(each.headers)})


def _request_ids(headers: dict[str, Any]) -> list[str]:
    together = headers.get(REQUEST_IDS)
    if isinstance(together, list):
        return [str(each) for each in together]
    return [str(headers[REQUEST_ID])] if REQUEST_ID in headers else []


batch_consume = BatchConsumer.decorator
