"""Deadlines of RPC calls: they end the wait, travel with the work, and stop what nobody waits for any more."""

import time
from collections.abc import Iterator
from typing import Any

import eventlet
import pytest
from eventlet.event import Event
from nameko.containers import ServiceContainer, WorkerContext
from nameko.extensions import DependencyProvider
from nameko.testing.utils import DummyProvider

from shared.errors import DeadlineExceeded
from shared.events import event_handler
from shared.rpc import rpc
from shared.rpc_proxy import RpcProxy, ServiceProxy
from tests.integration import builders
from tests.integration.broker import Broker
from tests.waiting import eventually

began: list[str] = []
released: list[Event] = []


class Deadline(DependencyProvider):
    """The worker's deadline, Unix seconds, if its call brought one."""

    def get_dependency(self, worker_ctx: Any) -> float | None:
        deadline: float | None = worker_ctx.data.get("deadline")
        return deadline


class Far:
    name = "far"
    deadline = Deadline()

    @event_handler("far", "busy")
    def be_busy(self, payload: Any) -> None:
        began.append("busy")
        released[0].wait()

    @rpc
    def hold(self, name: str) -> str:
        began.append(name)
        released[0].wait()
        return name

    @rpc
    def remaining(self) -> float | None:
        return self.deadline and self.deadline - time.time()


class Near:
    name = "near"
    far = RpcProxy("far", timeout=5)

    @rpc
    def hold(self, name: str) -> str:
        return str(self.far.hold(name))

    @rpc
    def remaining(self, after: float) -> Any:
        eventlet.sleep(after)
        return self.far.remaining()


class Client:
    name = "client"
    near, far = RpcProxy("near", timeout=5), RpcProxy("far", timeout=5)


@pytest.fixture(scope="module")
def client(amqp_uri: str) -> Iterator[ServiceContainer]:
    with (
        builders.running(Far, amqp_uri, max_workers=2),
        builders.running(Near, amqp_uri),
        builders.running(Client, amqp_uri) as container,
    ):
        yield container


@pytest.fixture(autouse=True)
def release() -> Iterator[Event]:
    began.clear()
    released[:] = [Event()]
    yield released[0]
    if not released[0].ready():
        released[0].send()


def proxy(client: ServiceContainer, name: str, **data: Any) -> ServiceProxy:
    provider = next(each for each in client.dependencies if each.attr_name == name)
    made: ServiceProxy = provider.get_dependency(WorkerContext(client, None, DummyProvider("test"), data=data))
    return made


def test_a_slow_method_is_deadline_exceeded_at_the_timeout_and_the_call_is_forgotten(
    client: ServiceContainer, release: Event
) -> None:
    start = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        proxy(client, "far").with_timeout(0.3).hold("slow")
    assert 0.3 <= time.monotonic() - start < 4
    assert began == ["slow"]
    assert builders.awaited(client) == 0
    # The late reply disturbs nobody.
    release.send()
    assert proxy(client, "far").hold("next") == "next"
    assert builders.awaited(client) == 0


def test_the_deadline_of_the_work_bounds_its_calls(client: ServiceContainer) -> None:
    start = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        proxy(client, "far", deadline=time.time() + 0.3).hold("bounded")
    assert time.monotonic() - start < 4


def test_with_no_time_left_nothing_is_sent(client: ServiceContainer, release: Event) -> None:
    with pytest.raises(DeadlineExceeded):
        proxy(client, "far", deadline=time.time() - 1).hold("late")
    release.send()
    assert proxy(client, "far").hold("next") == "next"
    assert began == ["next"]


def test_a_nested_call_has_what_is_left_of_the_time(client: ServiceContainer) -> None:
    left = proxy(client, "near").with_timeout(2).remaining(0.4)
    assert 1 < left <= 1.6
    assert proxy(client, "near").with_timeout(60).remaining(0) <= 5


def test_the_deadline_of_the_first_caller_ends_the_nested_call_too(client: ServiceContainer) -> None:
    with pytest.raises(DeadlineExceeded):
        proxy(client, "near").with_timeout(0.3).hold("nested")


def test_a_request_whose_deadline_has_passed_is_not_started(
    client: ServiceContainer, amqp_uri: str, release: Event
) -> None:
    stale = {"deadline": time.time() - 0.01}
    with builders.calling(amqp_uri) as rpc:
        rpc._worker_ctx.data.update(stale)
        rpc.far.hold.call_async("stale")
        rpc._worker_ctx.data.clear()
        release.send()
        assert rpc.far.hold("fresh") == "fresh"
    assert began == ["fresh"]


def test_a_request_that_waits_for_a_worker_past_its_deadline_is_not_started(
    client: ServiceContainer, amqp_uri: str, release: Event
) -> None:
    broker = Broker(amqp_uri)
    for _ in range(2):
        broker.event("far", "busy", {})
    eventually(lambda: len(began) == 2)
    with pytest.raises(DeadlineExceeded):
        proxy(client, "far").with_timeout(0.3).hold("given up")
    waiting = eventlet.spawn(proxy(client, "far").hold, "waiting")
    release.send()
    assert waiting.wait() == "waiting"
    assert began == ["busy", "busy", "waiting"]
    broker.close()
