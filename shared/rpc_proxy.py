"""The calling side of RPC: every call has a deadline, and says what went wrong in a domain error.

Nameko's RpcProxy waits for ever when a reply is lost. Here a call ends at its deadline (its own timeout, or the
deadline of the work that it is part of, whichever is sooner), and the deadline goes along in the request.
"""

import logging
import math
import time
from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

from nameko.exceptions import deserialize
from nameko.extensions import DependencyProvider
from nameko.messaging import HeaderEncoder
from nameko.rpc import get_rpc_exchange

from shared import origins, rpc_json, tracing
from shared.amqp import connection
from shared.errors import DeadlineExceeded, Unavailable
from shared.metrics import OK, outcome_of
from shared.origins import Origin
from shared.publisher import SharedPublisher, Unroutable
from shared.rpc_metrics import MADE

log = logging.getLogger(__name__)

DEFAULT_TIMEOUT_S = 5.0
REPLY_QUEUE_EXPIRES_MS = 60_000


class ServiceProxy:
    """`proxy.method(*args, **kwargs)` calls a method of one service, within the worker's deadline."""

    def __init__(self, provider: "RpcClient", worker_ctx: Any, timeout: float) -> None:
        self._provider, self._worker_ctx, self._timeout = provider, worker_ctx, timeout

    def with_timeout(self, seconds: float) -> "ServiceProxy":
        """The same proxy with another time limit for each call."""
        return ServiceProxy(self._provider, self._worker_ctx, seconds)

    def call_many(
        self, method: str, calls: Sequence[dict[str, Any]], origins: Sequence[Origin | None] | None = None
    ) -> list[Any]:
        """One message for `calls` (keyword arguments each) of an `rpc_many` method: of each its result or exception.

        `origins`: whose each call is, by default the worker's own. Raises what fails all of them, as a call does.
        """
        data = self._worker_ctx.data
        latest = min(time.time() + self._timeout, data.get("deadline") or math.inf)
        given = [origin or Origin() for origin in origins or [None] * len(calls)]
        own = [
            Origin(
                origin.request_id or data.get("request_id"),
                origin.traceparent or tracing.spans().carrier().get("traceparent"),
                min(latest, origin.deadline or math.inf),
            )
            for origin in given
        ]
        return self._provider.call_many(self._worker_ctx.context_data, method, calls, own)

    def __getattr__(self, method: str) -> Any:
        return partial(self._provider.call, self._worker_ctx, self._timeout, method)


class RpcClient(DependencyProvider, HeaderEncoder):
    """Calls of one service, whoever makes them and however they are injected.

    A call returns the method's result or raises: the domain error that the method raised; `Unavailable` when the
    service or the broker is away; `DeadlineExceeded` when no reply came within `timeout` seconds; nameko's
    `RemoteError` for a defect at the other end.
    """

    publisher = SharedPublisher()

    def __init__(self, target_service: str) -> None:
        super().__init__()
        self.target_service = target_service

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

    def call_many(
        self, context: dict[str, Any], method: str, calls: Sequence[dict[str, Any]], whose: Sequence[Origin]
    ) -> list[Any]:
        """Calls in one message; see ServiceProxy. The message lives as long as its most patient call."""
        began, latest = time.monotonic(), max(origin.deadline or 0.0 for origin in whose)
        context = {**context, "deadline": latest, **origins.headers(whose)}
        carrier = SimpleNamespace(data=context, context_data=context)
        try:
            answers = self._call(carrier, latest - time.time(), method, (calls,), {})
            if not isinstance(answers, list) or len(answers) != len(calls):
                raise TypeError(f"{self.target_service}.{method} did not answer each call")
            outcomes = [deserialize(each["error"]) if each.get("error") else each.get("result") for each in answers]
        except Exception as error:
            self._count(began, method, [error] * len(calls))
            raise
        self._count(began, method, outcomes)
        return outcomes

    def _count(self, began: float, method: str, outcomes: Sequence[Any]) -> None:
        seconds = time.monotonic() - began
        for each in outcomes:
            MADE.record(seconds, self.target_service, method, outcome_of(each if isinstance(each, Exception) else None))

    def setup(self) -> None:
        """Declare where calls go: publishing to an exchange that is not there would cost the connection."""
        super().setup()
        with connection(self.container.config["AMQP_URI"]) as conn, conn.channel() as channel:
            get_rpc_exchange(self.container.config)(channel).declare()

    def _call(self, worker_ctx: Any, timeout: float, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        now = time.time()
        deadline = min(now + timeout, worker_ctx.data.get("deadline") or now + timeout)
        if deadline <= now:
            raise DeadlineExceeded("There is no time left for the call.")
        body = rpc_json.write({"args": args, "kwargs": kwargs})
        headers = {**self.get_message_headers(worker_ctx), "nameko.deadline": deadline}
        with tracing.spans().rpc_call(self.target_service, method) as span:
            answer = self._exchange(method, body, {**headers, **span.headers}, deadline - now)
            if answer.get("error"):
                raise deserialize(answer["error"])
            return answer.get("result")

    def _exchange(self, method: str, body: bytes, headers: dict[str, Any], timeout: float) -> dict[str, Any]:
        exchange, routing_key = get_rpc_exchange(self.container.config).name, f"{self.target_service}.{method}"
        try:
            reply = self.publisher.request(exchange, routing_key, body, headers=headers, timeout=timeout)
        except Unroutable:
            raise Unavailable(f"{self.target_service} is away.", {"retry_after": 2}) from None
        except DeadlineExceeded:
            raise DeadlineExceeded(f"{self.target_service} did not answer in time.") from None
        try:
            return self._read(reply)
        except ValueError:
            raise Unavailable(f"{self.target_service} answered with no JSON object.", {"retry_after": 2}) from None

    def _read(self, reply: bytes) -> dict[str, Any]:
        answer = rpc_json.read(reply)
        if not isinstance(answer, dict):
            raise ValueError("The reply is no object.")
        return answer


class RpcProxy(RpcClient):
    """Injects a ServiceProxy for `target_service`; `timeout` is in seconds, for each call."""

    def __init__(self, target_service: str, timeout: float = DEFAULT_TIMEOUT_S) -> None:
        super().__init__(target_service)
        self.timeout = timeout

    def get_dependency(self, worker_ctx: Any) -> ServiceProxy:
        return ServiceProxy(self, worker_ctx, self.timeout)
