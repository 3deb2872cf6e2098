"""The serving side of RPC: deadlines that travel, errors that cross as themselves, a queue that goes with its service.

Speaks Nameko's own protocol, so stock clients (the nameko shell, ClusterRpcProxy) can call. What differs:

- A request carries the `deadline` (Unix time, seconds) of its caller; one that has passed is not started.
- The queue deletes itself with its last consumer, so a call to an absent service is unroutable at once instead
  of waiting in a queue and running stale when the service comes back.
- An outage of the broker or a database reaches the caller as `Unavailable`, never as a defect.
- A reply is sent without waiting for a confirm: its caller's deadline covers its loss. With Nameko one that cannot be
  sent kills the container.
"""

import logging
import math
import sys
import time
from functools import partial
from typing import Any

from kombu import Queue
from kombu.message import Message
from nameko.exceptions import (
    ContainerBeingKilled,
    IncorrectSignature,
    MalformedRequest,
    MethodNotFound,
    UnserializableValueError,
    serialize,
)
from nameko.rpc import RPC_QUEUE_TEMPLATE, get_rpc_exchange
from nameko.rpc import Rpc as NamekoRpc
from nameko.rpc import RpcConsumer as NamekoRpcConsumer

from shared import call_context, rpc_json, rpc_metrics
from shared.broker_link import DIRECT_REPLY
from shared.consumers import QueueConsumer
from shared.errors import DomainError, Unavailable
from shared.metrics import DEFECT, outcome_of
from shared.outage import as_unavailable, is_outage
from shared.publisher import SharedPublisher
from shared.queue_watch import QueueWatch

log = logging.getLogger(__name__)

# A queue that outlived its broker's restart without its service is gone after this.
ORPHAN_EXPIRES_MS = 10_000
# What is wrong with a request before any method runs.
REFUSALS = (MalformedRequest, MethodNotFound, IncorrectSignature)


class RpcConsumer(NamekoRpcConsumer):
    """Consumes a service's requests and answers them."""

    queue_consumer = QueueConsumer()
    publisher = SharedPublisher()
    watch = QueueWatch()
    queue: Queue | None

    def setup(self) -> None:
        if self.queue is None:
            name = self.container.service_name
            self.queue = Queue(
                RPC_QUEUE_TEMPLATE.format(name),
                exchange=get_rpc_exchange(self.container.config),
                routing_key=f"{name}.*",
                durable=True,
                auto_delete=True,
                queue_arguments={"x-expires": ORPHAN_EXPIRES_MS},
            )
            self.watch.add(self.queue.name)
            self.queue_consumer.register_provider(self)

    def handle_undecodable(self, message: Message, error: Exception) -> None:
        rpc_metrics.SERVED.record(0.0, f"{self.container.service_name}.{rpc_metrics.UNKNOWN}", rpc_metrics.REFUSED)
        self.handle_result(message, None, (MalformedRequest, MalformedRequest("The request is not JSON."), None))

    def handle_message(self, body: Any, message: Message) -> None:
        try:
            self.get_provider_for_method(message.delivery_info["routing_key"]).handle_message(body, message)
        except Exception as error:  # the caller gets whatever it was as its answer
            name = self.container.service_name
            outcome = rpc_metrics.REFUSED if isinstance(error, REFUSALS) else outcome_of(error)
            rpc_metrics.SERVED.record(0.0, f"{name}.{rpc_metrics.UNKNOWN}", outcome)
            self.handle_result(message, None, sys.exc_info())

    def handle_result(self, message: Message, result: Any, exc_info: Any) -> tuple[Any, Any]:
        """Reply to `message` with the result or the error, then acknowledge it."""
        if exc_info is not None and is_outage(exc_info[1]):
            unavailable = as_unavailable(exc_info[1])
            exc_info = (Unavailable, unavailable, exc_info[2])
        reply_to = message.properties.get("reply_to")
        if reply_to:
            self._reply(message, reply_to, _payload(result, exc_info))
        self.queue_consumer.ack_message(message)
        return result, exc_info

    def _reply(self, message: Message, reply_to: str, payload: bytes) -> None:
        # A stock client has a reply queue, bound to Nameko's exchange; ours takes replies directly.
        direct = reply_to.startswith(DIRECT_REPLY)
        exchange = "" if direct else get_rpc_exchange(self.container.config).name
        self.publisher.reply(exchange, reply_to, payload, message.properties.get("correlation_id"))


def _payload(result: Any, exc_info: Any) -> bytes:
    error = None if exc_info is None else serialize(exc_info[1])
    try:
        return rpc_json.write({"result": result if error is None else None, "error": error})
    except (TypeError, ValueError):
        return rpc_json.write({"result": None, "error": serialize(UnserializableValueError(result))})


class Rpc(NamekoRpc):
    """The `@rpc` entrypoint; domain errors are answers, not defects."""

    rpc_consumer = RpcConsumer()

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("expected_exceptions", DomainError)
        super().__init__(**kwargs)
        self._metric_name = ""

    def setup(self) -> None:
        super().setup()
        self._metric_name = f"{self.container.service_name}.{self.method_name}"
        rpc_metrics.SERVED.begin(self._metric_name, DEFECT)

    def handle_message(self, body: Any, message: Message) -> None:
        if not isinstance(body, dict) or not isinstance(body.get("args"), list):
            raise MalformedRequest("The request needs `args` (a list) and `kwargs` (an object).")
        if not isinstance(body.get("kwargs"), dict):
            raise MalformedRequest("The request needs `args` (a list) and `kwargs` (an object).")
        began = time.monotonic()
        context = call_context.usable(self.unpack_message_headers(message))
        self.check_signature(body["args"], body["kwargs"])
        try:
            worker_ctx = self.container.spawn_worker(
                self,
                body["args"],
                body["kwargs"],
                context_data=context,
                handle_result=partial(self._handle_outcome, message, began),
            )
        except ContainerBeingKilled:
            self.rpc_consumer.requeue_message(message)
            return
        # There may have been a long wait for a free worker; this one has not begun yet.
        if time.time() > context.get("deadline", math.inf):
            self.container._worker_threads[worker_ctx].cancel()
            rpc_metrics.SERVED.record(time.monotonic() - began, self._metric_name, rpc_metrics.EXPIRED)
            log.info(
                "a request came too late and is dropped",
                extra={
                    "method": self.method_name,
                    "request_id": context.get("request_id"),
                    "call_id_stack": worker_ctx.call_id_stack,
                },
            )
            self.rpc_consumer.queue_consumer.ack_message(message)

    def _handle_outcome(
        self, message: Message, began: float, worker_ctx: Any, result: Any, exc_info: Any
    ) -> tuple[Any, Any]:
        self._record(message, time.monotonic() - began, worker_ctx, result, exc_info and exc_info[1])
        answer: tuple[Any, Any] = self.handle_result(message, worker_ctx, result, exc_info)
        return answer

    def _record(self, message: Message, seconds: float, worker_ctx: Any, result: Any, error: Any) -> None:
        rpc_metrics.SERVED.record(seconds, self._metric_name, outcome_of(error))


rpc = Rpc.decorator
