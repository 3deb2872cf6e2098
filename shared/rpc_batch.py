"""Calls of one kind that travel together: one message, one query, each with its own outcome and deadline.

A single read costs a message each way, a worker and a query; most of that is the same for fifty of them. So the
calling side (`BatchProxy`) keeps few messages in flight and lets what comes meanwhile gather: alone, a call waits for
nobody; under load, batches grow by themselves. The serving side (`rpc_many`) hands its method all calls at once. This
is the data loader pattern (Facebook's DataLoader), over RPC and without its cache.

Measured: benchmarks/, workload `read_one`; docs/performance.md.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import eventlet
import msgspec
from eventlet.event import Event
from kombu.message import Message
from msgspec import Raw, Struct
from nameko.exceptions import serialize

from shared import rpc_metrics, tracing
from shared.errors import DeadlineExceeded
from shared.log import REQUEST_ID
from shared.metrics import DEFECT, outcome_of
from shared.origins import DEADLINES, HEADERS, Origin
from shared.outage import as_unavailable, is_outage
from shared.rpc import Rpc
from shared.rpc_proxy import RpcClient

log = logging.getLogger(__name__)

MAX_CALLS = 100
# Two: while one is worked on, the next is on its way.
IN_FLIGHT = 2
# A message whose time is up says why: the service is slow, or the broker away. Its calls wait for that.
LAST_WORD_S = 0.05
# Of a message that is worked on: the places of the calls that came too late.
LATE = "late_calls"

Outcome = dict[str, Any]
"""`{"result": ..., "error": ...}` of one call; `error` as Nameko serialises exceptions, or None."""


class _RawOutcome(Struct):
    result: Raw
    error: Any


class _RawAnswer(Struct):
    result: list[_RawOutcome] | None
    error: Any


_decode_answer = msgspec.json.Decoder(_RawAnswer).decode


class _Pending:
    """A call that waits for its outcome; `abandoned` when nobody does any more."""

    __slots__ = ("abandoned", "arguments", "context", "origin", "outcome")

    def __init__(self, arguments: dict[str, Any], deadline: float, context: dict[str, Any]) -> None:
        self.arguments, self.context = arguments, context
        traceparent = tracing.spans().carrier().get("traceparent")
        self.origin = Origin(context.get(REQUEST_ID), traceparent, deadline)
        self.outcome = Event()
        self.abandoned = False


class BatchProxy(RpcClient):
    """Injects a callable: `call(timeout, **arguments)` is one call of `target_service`'s `rpc_many` method `method`.

    It returns the call's own result or raises its own error, as one through RpcProxy does. What fails a whole
    message (nobody there, no reply in time) fails the calls in it. With `passes_on` a result is the JSON text as it
    came (`msgspec.Raw`), for who only hands it on: it is neither taken apart nor put together again.
    """

    def __init__(self, target_service: str, method: str, max_calls: int = MAX_CALLS, passes_on: bool = False) -> None:
        super().__init__(target_service)
        self.method, self.max_calls, self.passes_on = method, max_calls, passes_on
        self._waiting: deque[_Pending] = deque()
        self._in_flight = 0

    def get_dependency(self, worker_ctx: Any) -> Callable[..., Any]:
        return partial(self.call_one, worker_ctx)

    def call_one(self, worker_ctx: Any, timeout: float, /, **arguments: Any) -> Any:
        """One call; see the class. Raises DeadlineExceeded after `timeout` seconds, or at the worker's deadline."""
        now = time.time()
        deadline = min(now + timeout, worker_ctx.data.get("deadline") or now + timeout)
        if deadline <= now:
            raise DeadlineExceeded("There is no time left for the call.")
        pending = _Pending(arguments, deadline, worker_ctx.context_data)
        self._waiting.append(pending)
        if self._in_flight < IN_FLIGHT:
            self._in_flight += 1
            eventlet.spawn_n(self._send_all)
        with eventlet.Timeout(deadline - now + LAST_WORD_S, False):
            return pending.outcome.wait()
        pending.abandoned = True
        raise DeadlineExceeded(f"{self.target_service} did not answer in time.")

    def _send_all(self) -> None:
        """Send what waits, a batch after the other; no error leaves it, for nobody would see it."""
        try:
            while batch := self._next():
                try:
                    outcomes = self._exchange_batch(batch)
                except Exception as error:  # it is every caller's of this batch
                    for each in batch:
                        each.outcome.send_exception(error)
                else:
                    for each, outcome in zip(batch, outcomes, strict=True):
                        _settle(each, outcome)
        finally:
            self._in_flight -= 1

    def _next(self) -> list[_Pending]:
        batch: list[_Pending] = []
        while self._waiting and len(batch) < self.max_calls:
            pending = self._waiting.popleft()
            if not pending.abandoned:
                batch.append(pending)
        return batch

    def _exchange_batch(self, batch: list[_Pending]) -> list[Any]:
        first = batch[0]
        # This greenlet has no trace of its own: the message is part of the first call's.
        with tracing.spans().continued({"traceparent": first.origin.traceparent}):
            calls, origins = [each.arguments for each in batch], [each.origin for each in batch]
            return self.call_many(first.context, self.method, calls, origins)

    def _read(self, reply: bytes) -> dict[str, Any]:
        if not self.passes_on:
            return super()._read(reply)
        # A text that nobody decodes is at least UTF-8.
        reply.decode()
        answer = _decode_answer(reply)
        outcomes = [{"result": each.result, "error": each.error} for each in answer.result or ()]
        return {"result": outcomes, "error": answer.error}


def _settle(pending: _Pending, outcome: Any) -> None:
    if isinstance(outcome, Exception):
        pending.outcome.send_exception(outcome)
    else:
        pending.outcome.send(outcome)


class RpcMany(Rpc):
    """`@rpc_many`: the method takes a list of calls, each its keyword arguments, and returns a list of outcomes.

    An outcome is a result, or an exception of that call alone; what the method raises fails all of them. A call whose
    deadline has passed is not handed to it; `shared.origins` says whose the others are. Stock clients call it as
    `method([{...}, {...}])` and get `[{"result": ..., "error": ...}, ...]`.
    """

    def handle_message(self, body: Any, message: Message) -> None:
        calls = (
            body["args"][0] if isinstance(body, dict) and isinstance(body.get("args"), list) and body["args"] else None
        )
        deadlines = message.headers.get(f"nameko.{DEADLINES}")
        if isinstance(calls, list) and isinstance(deadlines, list) and len(deadlines) == len(calls):
            now = time.time()
            late = [index for index, deadline in enumerate(deadlines) if _is_past(deadline, now)]
            message.properties[LATE] = late
            body["args"][0] = _without(late, calls)
            for name in (f"nameko.{header}" for header in HEADERS):
                if isinstance(message.headers.get(name), list):
                    message.headers[name] = _without(late, message.headers[name])
        super().handle_message(body, message)

    def handle_result(self, message: Message, worker_ctx: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
        if exc_info is None:
            try:
                result = self._outcomes(message, result)
            except TypeError as error:
                exc_info = (TypeError, error, error.__traceback__)
        super().handle_result(message, worker_ctx, result, exc_info)
        return result, exc_info

    def _record(self, message: Message, seconds: float, worker_ctx: Any, result: Any, error: Any) -> None:
        """Count each call."""
        for _ in message.properties.get(LATE, ()):
            rpc_metrics.SERVED.record(seconds, self._metric_name, rpc_metrics.EXPIRED)
        # What is no list of outcomes is a defect in any case, and will be answered as one.
        given = worker_ctx.args[0] if worker_ctx.args else worker_ctx.kwargs.get("calls")
        outcomes = result if error is None and isinstance(result, list) else given
        for each in outcomes if isinstance(outcomes, list) else ():
            outcome = outcome_of(error or (each if isinstance(each, Exception) else None))
            rpc_metrics.SERVED.record(seconds, self._metric_name, outcome)

    def _outcomes(self, message: Message, results: Any) -> list[Outcome]:
        outcomes = [self._outcome(each) for each in results]
        for index in message.properties.get(LATE, ()):
            outcomes.insert(index, self._outcome(DeadlineExceeded("The call came too late.")))
        return outcomes

    def _outcome(self, each: Any) -> Outcome:
        if not isinstance(each, Exception):
            return {"result": each, "error": None}
        if outcome_of(each) == DEFECT:
            log.error("a call failed among others", extra={"method": self.method_name}, exc_info=each)
        return {"result": None, "error": serialize(as_unavailable(each) if is_outage(each) else each)}


def _is_past(deadline: Any, now: float) -> bool:
    return isinstance(deadline, int | float) and deadline < now


def _without(places: list[int], values: list[Any]) -> list[Any]:
    return [value for place, value in enumerate(values) if place not in places] if places else values


rpc_many = RpcMany.decorator
