"""Calls of one kind that travel together: one message, one query, each with its own outcome and deadline.

A single read costs a message each way, a worker and a query; most of that is the same for fifty of them. So the
calling side (`BatchProxy`) keeps few messages in flight and lets what comes meanwhile gather: alone, a call waits for
nobody; under load, batches grow by themselves. The serving side (`rpc_many`) hands its method all calls at once. This
is the data loader pattern (Facebook's DataLoader), over RPC and without its cache.

Measured: benchmarks/, workload `read_one`; docs/performance.md.
"""

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import eventlet
import msgspec
from eventlet.event import Event
from kombu.message import Message
from msgspec import Raw, Struct
from nameko.exceptions import deserialize, serialize

from shared.errors import DeadlineExceeded, DomainError
from shared.log import REQUEST_ID, REQUEST_IDS
from shared.rpc import Rpc
from shared.rpc_proxy import RpcClient

MAX_CALLS = 100
# Two: while one is worked on, the next is on its way.
IN_FLIGHT = 2
# In a header of the batch, by call; the ids of the requests, for the log, are in another.
DEADLINES = "deadlines"
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

    __slots__ = ("abandoned", "arguments", "context", "deadline", "outcome")

    def __init__(self, arguments: dict[str, Any], deadline: float, context: dict[str, Any]) -> None:
        self.arguments, self.deadline, self.context = arguments, deadline, context
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
        with eventlet.Timeout(deadline - now, False):
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

    def _exchange_batch(self, batch: list[_Pending]) -> list[Outcome]:
        now = time.time()
        # The message lives as long as its most patient call; each call's own deadline goes along.
        latest = max(each.deadline for each in batch)
        context = {
            **batch[0].context,
            "deadline": latest,
            DEADLINES: [each.deadline for each in batch],
            REQUEST_IDS: [str(each.context.get(REQUEST_ID, "")) for each in batch],
        }
        carrier = SimpleNamespace(data=context, context_data=context)
        outcomes = self.call(carrier, latest - now, self.method, [each.arguments for each in batch])
        if not isinstance(outcomes, list) or len(outcomes) != len(batch):
            raise TypeError(f"{self.target_service}.{self.method} did not answer each call")
        return outcomes

    def _read(self, reply: bytes) -> dict[str, Any]:
        if not self.passes_on:
            return super()._read(reply)
        # A text that nobody decodes is at least UTF-8.
        reply.decode()
        answer = _decode_answer(reply)
        outcomes = [{"result": each.result, "error": each.error} for each in answer.result or ()]
        return {"result": outcomes, "error": answer.error}


def _settle(pending: _Pending, outcome: Outcome) -> None:
    if outcome.get("error"):
        pending.outcome.send_exception(deserialize(outcome["error"]))
    else:
        pending.outcome.send(outcome.get("result"))


class RpcMany(Rpc):
    """`@rpc_many`: the method takes a list of calls, each its keyword arguments, and returns a list of outcomes.

    An outcome is a result, or a DomainError for that call alone; what the method raises fails all of them. A call
    whose deadline has passed is not handed to it. Stock clients call it as `method([{...}, {...}])` and get
    `[{"result": ..., "error": ...}, ...]`.
    """

    def handle_message(self, body: Any, message: Message) -> None:
        deadlines = message.headers.pop(f"nameko.{DEADLINES}", None)
        calls = (
            body["args"][0] if isinstance(body, dict) and isinstance(body.get("args"), list) and body["args"] else None
        )
        if isinstance(calls, list) and isinstance(deadlines, list) and len(deadlines) == len(calls):
            now = time.time()
            message.properties[LATE] = [index for index, deadline in enumerate(deadlines) if _is_past(deadline, now)]
            body["args"][0] = [call for index, call in enumerate(calls) if index not in message.properties[LATE]]
        super().handle_message(body, message)

    def handle_result(self, message: Message, worker_ctx: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
        if exc_info is None:
            try:
                result = self._outcomes(message, result)
            except TypeError as error:
                exc_info = (TypeError, error, error.__traceback__)
        super().handle_result(message, worker_ctx, result, exc_info)
        return result, exc_info

    def _outcomes(self, message: Message, results: Any) -> list[Outcome]:
        outcomes = [_outcome(each) for each in results]
        for index in message.properties.get(LATE, ()):
            outcomes.insert(index, _outcome(DeadlineExceeded("The call came too late.")))
        return outcomes


def _is_past(deadline: Any, now: float) -> bool:
    return isinstance(deadline, int | float) and deadline < now


def _outcome(each: Any) -> Outcome:
    if isinstance(each, DomainError):
        return {"result": None, "error": serialize(each)}
    return {"result": each, "error": None}


rpc_many = RpcMany.decorator
