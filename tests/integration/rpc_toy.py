"""Two toy services for the tests of RPC: one that is called, and one that calls it."""

import time
from typing import Any

import eventlet
from nameko.extensions import DependencyProvider

from shared.errors import Conflict, DeadlineExceeded, DomainError, Invalid, NotFound, Unavailable
from shared.log import WorkerLog, current_request_id
from shared.publisher import Publisher
from shared.rpc import rpc
from shared.rpc_proxy import RpcProxy
from tests.conftest import unique_name

Json = dict[str, Any]
ERRORS: dict[str, type[DomainError]] = {
    each.__name__: each for each in (Invalid, NotFound, Conflict, Unavailable, DeadlineExceeded)
}
seen: list[Any] = []


class Context(DependencyProvider):
    """What came with the call."""

    def get_dependency(self, worker_ctx: Any) -> Json:
        return {"data": dict(worker_ctx.data), "stack": worker_ctx.call_id_stack}


class Callee:
    name = "callee"

    log = WorkerLog()
    context = Context()
    publisher = Publisher()

    @rpc
    def echo(self, *args: Any, **kwargs: Any) -> Json:
        return {"args": args, "kwargs": kwargs}

    @rpc
    def two(self, first: int, second: int = 2) -> int:
        return first + second

    @rpc
    def refuse(self, kind: str, detail: str, extra: Json) -> None:
        raise ERRORS[kind](detail, extra)

    @rpc
    def fail(self) -> None:
        raise ZeroDivisionError("a defect")

    @rpc
    def publish_to_nobody(self) -> None:
        self.publisher.publish("", unique_name("nowhere"), b"")

    @rpc
    def unserialisable(self) -> Any:
        return {"a": object()}

    @rpc
    def hold(self, seconds: float) -> str:
        seen.append("began")
        eventlet.sleep(seconds)
        seen.append("ended")
        return "done"

    @rpc
    def told(self) -> Json:
        return {**self.context, "request_id": current_request_id(), "now": time.time()}


class Caller:
    name = "caller"

    log = WorkerLog()
    context = Context()
    callee = RpcProxy("callee", timeout=5)
    absent = RpcProxy("absent", timeout=5)

    @rpc
    def told(self) -> list[Json]:
        return [{**self.context, "now": time.time()}, self.callee.told()]

    @rpc
    def hold(self, seconds: float) -> str:
        return str(self.callee.hold(seconds))
