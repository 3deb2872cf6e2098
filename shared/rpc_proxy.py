"""The calling side of RPC: every call has a deadline, and says what went wrong in a domain error.

Nameko's RpcProxy waits for ever when a reply is lost. Here a call ends at its deadline (its own timeout, or the
deadline of the work that it is part of, whichever is sooner), and the deadline goes along in the request.
"""

import json
import logging
import time
import uuid
from functools import partial
from typing import Any

import eventlet
from eventlet.event import Event
from kombu import Queue
from kombu.message import Message
from nameko.exceptions import deserialize
from nameko.extensions import DependencyProvider, SharedExtension
from nameko.messaging import HeaderEncoder
from nameko.rpc import RPC_REPLY_QUEUE_TEMPLATE, get_rpc_exchange

from shared import tracing
from shared.consumers import QueueConsumer
from shared.errors import DeadlineExceeded, Unavailable
from shared.metrics import OK, outcome_of
from shared.publisher import SharedPublisher, Unroutable
from shared.rpc_metrics import MADE

log = logging.getLogger(__name__)

DEFAULT_TIMEOUT_S = 5.0
REPLY_QUEUE_EXPIRES_MS = 60_000


class ReplyListener(SharedExtension):
    """Receives the replies of a container's calls; forgets the calls that have given up."""

    queue_consumer = QueueConsumer()

    def __init__(self) -> None:
        super().__init__()
        self.routing_key = ""
        self.queue: Queue | None = None
        self._expected: dict[str, Event] = {}

    def setup(self) -> None:
        self.routing_key = str(uuid.uuid4())
        self.queue = Queue(
            RPC_REPLY_QUEUE_TEMPLATE.format(self.container.service_name, self.routing_key),
            exchange=get_rpc_exchange(self.container.config),
            routing_key=self.routing_key,
            queue_arguments={"x-expires": REPLY_QUEUE_EXPIRES_MS},
        )
        self.queue_consumer.register_provider(self)

    def stop(self) -> None:
        self.queue_consumer.unregister_provider(self)

    def expect(self, correlation_id: str) -> Event:
        """The event that the reply with `correlation_id` will be sent to."""
        event = self._expected[correlation_id] = Event()
        return event

    def forget(self, correlation_id: str) -> None:
        self._expected.pop(correlation_id, None)

    def handle_undecodable(self, message: Message, error: Exception) -> None:
        self.queue_consumer.ack_message(message)
        log.warning("a reply is not JSON and is dropped: %r", error)

    def handle_message(self, body: Any, message: Message) -> None:
        self.queue_consumer.ack_message(message)
        if not isinstance(body, dict):
            log.warning("a reply is no object and is dropped")
            return
        event = self._expected.pop(message.properties.get("correlation_id") or "", None)
        if event is not None:
            event.send(body)


class ServiceProxy:
    """`proxy.method(*args, **kwargs)` calls a method of one service, within the worker's deadline."""

    def __init__(self, provider: "RpcProxy", worker_ctx: Any, timeout: float) -> None:
        self._provider, self._worker_ctx, self._timeout = provider, worker_ctx, timeout

    def with_timeout(self, seconds: float) -> "ServiceProxy":
        """The same proxy with another time limit for each call."""
        return ServiceProxy(self._provider, self._worker_ctx, seconds)

    def __getattr__(self, method: str) -> Any:
        return partial(self._provider.call, self._worker_ctx, self._timeout, method)


class RpcProxy(DependencyProvider, HeaderEncoder):
    """Injects a ServiceProxy for `target_service`.

    A call returns the method's result or raises: the domain error that the method raised; `Unavailable` when the
    service or the broker is away; `DeadlineExceeded` when no reply came within `timeout` seconds; nameko's
    `RemoteError` for a defect at the other end.
    """

    reply_listener = ReplyListener()
    publisher = SharedPublisher()

    def __init__(self, target_service: str, timeout: float = DEFAULT_TIMEOUT_S) -> None:
        super().__init__()
        self.target_service, self.timeout = target_service, timeout

    def get_dependency(self, worker_ctx: Any) -> ServiceProxy:
        return ServiceProxy(self, worker_ctx, self.timeout)

    def call(self, worker_ctx: Any, timeout: float, method: str, *args: Any, **kwargs: Any) -> Any:
        """One remote call; see the class for what it raises."""
        began, outcome = time.monotonic(), OK
        try:
            return self._call(worker_ctx, timeout, method, args, kwargs)
        except Exception as error:  # counted, and raised again
            outcome = outcome_of(error)
            raise
        finally:
            MADE.record(time.monotonic() - began, self.target_service, method, outcome)

    def _call(self, worker_ctx: Any, timeout: float, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        now = time.time()
        deadline = min(now + timeout, worker_ctx.data.get("deadline") or now + timeout)
        remaining = deadline - now
        if remaining <= 0:
            raise DeadlineExceeded("There is no time left for the call.")
        body = json.dumps({"args": args, "kwargs": kwargs}).encode()
        headers = {**self.get_message_headers(worker_ctx), "nameko.deadline": deadline}
        correlation_id = str(uuid.uuid4())
        reply = self.reply_listener.expect(correlation_id)
        with tracing.spans().rpc_call(self.target_service, method) as span:
            try:
                answer = self._exchange(method, body, {**headers, **span.headers}, correlation_id, reply, deadline)
            finally:
                self.reply_listener.forget(correlation_id)
            if answer.get("error"):
                raise deserialize(answer["error"])
            return answer.get("result")

    def _exchange(
        self, method: str, body: bytes, headers: dict[str, Any], correlation_id: str, reply: Event, deadline: float
    ) -> dict[str, Any]:
        remaining = deadline - time.time()
        try:
            self.publisher.publish(
                get_rpc_exchange(self.container.config).name,
                f"{self.target_service}.{method}",
                body,
                headers=headers,
                persistent=False,
                correlation_id=correlation_id,
                reply_to=self.reply_listener.routing_key,
                # The broker drops what nobody has begun by the deadline.
                expiration_ms=max(int(remaining * 1000), 1),
                timeout=remaining,
            )
        except Unroutable:
            raise Unavailable(f"{self.target_service} is away.", {"retry_after": 2}) from None
        with eventlet.Timeout(max(deadline - time.time(), 0.001), False):
            answer: dict[str, Any] = reply.wait()
            return answer
        raise DeadlineExceeded(f"{self.target_service} did not answer in time.")
