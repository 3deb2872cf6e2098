"""RPC between two toy services and from stock clients, all at their best."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import eventlet
import pytest
from kombu import Queue
from nameko.containers import ServiceContainer, WorkerContext
from nameko.exceptions import IncorrectSignature, MethodNotFound, RemoteError
from nameko.rpc import rpc as stock_rpc
from nameko.standalone.rpc import ClusterRpcProxy
from nameko.testing.utils import DummyProvider

from shared.errors import DomainError, Unavailable
from shared.rpc import rpc
from shared.rpc_proxy import ServiceProxy
from tests.conftest import unique_name
from tests.integration import builders
from tests.integration.broker import Broker
from tests.integration.rpc_toy import ERRORS, Callee, Caller, seen
from tests.waiting import eventually

Json = dict[str, Any]


@pytest.fixture(scope="module")
def callee(amqp_uri: str) -> Iterator[ServiceContainer]:
    with builders.running(Callee, amqp_uri) as container:
        yield container


@pytest.fixture(scope="module")
def caller(amqp_uri: str, callee: ServiceContainer) -> Iterator[ServiceContainer]:
    with builders.running(Caller, amqp_uri) as container:
        yield container


Within = Callable[..., ServiceProxy]


@pytest.fixture(scope="module")
def within(caller: ServiceContainer) -> Within:
    """A service's proxy as a worker of `caller` gets it, with the data that came with that worker's call."""

    def make(name: str = "callee", **data: Any) -> ServiceProxy:
        provider = next(each for each in caller.dependencies if each.attr_name == name)
        proxy: ServiceProxy = provider.get_dependency(WorkerContext(caller, None, DummyProvider("test"), data=data))
        return proxy

    return make


@pytest.fixture
def broker(amqp_uri: str) -> Iterator[Broker]:
    outsider = Broker(amqp_uri)
    yield outsider
    outsider.close()


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    seen.clear()


@pytest.fixture
def requests(broker: Broker, callee: ServiceContainer) -> Callable[..., Json]:
    """Sends a request as bytes, returns the reply."""
    reply_to = unique_name("replies")
    channel = broker.connection.default_channel
    Queue(reply_to, auto_delete=True, expires=60_000)(channel).declare()
    channel.queue_bind(reply_to, "nameko-rpc", reply_to)

    def send(body: bytes, method: str = "echo", **properties: Any) -> Json:
        correlation_id = str(uuid.uuid4())
        options = {"reply_to": reply_to, "correlation_id": correlation_id, **properties}
        broker.publish("nameko-rpc", f"callee.{method}", body, **options)
        message = eventually(lambda: broker.take(reply_to))
        assert message is not None
        assert message.properties["correlation_id"] == correlation_id
        answer: Json = json.loads(message.body)
        return answer

    return send


def test_arguments_and_result_cross_as_they_are(within: Within) -> None:
    arguments: list[Any] = [1, 2.5, None, True, "Zürich 🚲", [], {"a": [1]}]
    assert within().echo(*arguments, key=arguments) == {"args": arguments, "kwargs": {"key": arguments}}


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("proxied", [True, False])
def test_a_domain_error_arrives_as_itself(kind: str, proxied: bool, within: Within, rpc: Any) -> None:
    extra = {"errors": {"positions.3.recorded_at": ["Older than 30 days."]}, "retry_after": 7}
    with pytest.raises(DomainError) as caught:
        (within() if proxied else rpc.callee).refuse(kind, "Die Sätze: 100 %", extra)
    error = caught.value
    assert type(error) is ERRORS[kind]
    assert (error.detail, str(error)) == ("Die Sätze: 100 %", "Die Sätze: 100 %")
    assert error.errors == extra["errors"]
    assert error.retry_after == 7
    assert not error.replayed


def test_a_defect_is_a_remote_error_and_the_service_goes_on(within: Within) -> None:
    with pytest.raises(RemoteError, match="ZeroDivisionError"):
        within().fail()
    assert within().two(1) == 3


def test_a_message_that_the_callee_cannot_route_is_unavailable_to_its_caller(within: Within) -> None:
    with pytest.raises(Unavailable):
        within().publish_to_nobody()


def test_wrong_calls_are_told_apart(within: Within) -> None:
    with pytest.raises(MethodNotFound):
        within().no_such_method()
    with pytest.raises(IncorrectSignature):
        within().two(1, 2, 3)
    with pytest.raises(TypeError):
        within().two(object())


def test_a_result_that_is_not_json_is_an_error_and_the_service_goes_on(within: Within) -> None:
    with pytest.raises(RemoteError, match="Unserializable"):
        within().unserialisable()
    assert within().two(1) == 3


@pytest.mark.parametrize(
    "body",
    [b"", b"rubbish", b"\xff\xfe", b"null", b"[]", b'"text"', b"{}", b'{"args": []}', b'{"args": {}, "kwargs": {}}',
     b'{"args": [], "kwargs": null}', b'{"args": [], "kwargs": []}', b"[" * 100_000],
    ids=lambda body: repr(body[:30]),
)  # fmt: skip
def test_a_malformed_request_is_answered_and_the_service_goes_on(body: bytes, requests: Callable[..., Json]) -> None:
    error = requests(body)["error"]
    assert error["exc_type"] == "MalformedRequest"
    assert requests(b'{"args": [1], "kwargs": {}}') == {"result": {"args": [1], "kwargs": {}}, "error": None}


@pytest.mark.parametrize(
    "properties",
    [
        {"headers": {"nameko.call_id_stack": 5}},
        {"headers": {"nameko.call_id_stack": ["a", None, {}]}},
        {"headers": {"nameko.deadline": "soon"}},
        {"headers": {"nameko.deadline": True}},
        {"headers": {"nameko.request_id": {"a": [1]}}},
    ],
    ids=repr,
)
def test_odd_properties_do_not_end_the_service(
    properties: Json, requests: Callable[..., Json], callee: ServiceContainer
) -> None:
    assert requests(b'{"args": [], "kwargs": {}}', "told", **properties)["error"] is None
    assert not callee._died.ready()


@pytest.mark.parametrize("properties", [{"content_type": "application/x-python-serialize"}, {"content_type": None}])
def test_a_body_of_another_type_is_refused(properties: Json, requests: Callable[..., Json]) -> None:
    assert requests(b'{"args": [], "kwargs": {}}', **properties)["error"]["exc_type"] == "MalformedRequest"


def test_a_request_without_reply_to_is_handled(broker: Broker, requests: Callable[..., Json]) -> None:
    broker.publish("nameko-rpc", "callee.hold", {"args": [0], "kwargs": {}})
    eventually(lambda: seen == ["began", "ended"])
    broker.publish("nameko-rpc", "callee.hold", b"rubbish")
    assert requests(b'{"args": [], "kwargs": {}}')["error"] is None


def test_a_call_to_an_absent_service_is_unavailable_at_once(within: Within) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        within("absent").anything()
    assert time.monotonic() - began < 4
    assert "absent" in caught.value.detail
    assert caught.value.retry_after == 2


def test_a_service_that_has_stopped_leaves_no_queue(amqp_uri: str, broker: Broker, within: Within) -> None:
    class Absent:
        name = "absent"

        @rpc
        def anything(self) -> int:
            return 1

    def exists() -> bool:
        with broker.connection.channel() as channel:
            try:
                channel.queue_declare("rpc-absent", passive=True)
            except channel.connection.channel_errors:
                return False
            return True

    with builders.running(Absent, amqp_uri):
        assert within("absent").anything() == 1
        assert exists()
    assert not exists()
    with pytest.raises(Unavailable):
        within("absent").anything()


def test_request_id_and_call_id_stack_travel(amqp_uri: str, caller: ServiceContainer) -> None:
    with ClusterRpcProxy({"AMQP_URI": amqp_uri}, context_data={"request_id": "r-1"}, timeout=10) as rpc:
        mine, its = rpc.caller.told()
    assert mine["data"]["request_id"] == its["data"]["request_id"] == its["request_id"] == "r-1"
    assert [call.rsplit(".", 1)[0] for call in its["stack"]] == [
        "standalone_rpc_proxy.call", "caller.told", "callee.told"
    ]  # fmt: skip


def test_stock_clients_call_each_method_plainly(rpc: Any, callee: ServiceContainer, amqp_uri: str) -> None:
    class Stock:
        name = "stock"
        from nameko.rpc import RpcProxy as StockProxy

        callee = StockProxy("callee")

        @stock_rpc
        def relay(self, number: int) -> int:
            return int(self.callee.two(number))

    assert rpc.callee.two(1, second=5) == 6
    assert [call.result() for call in [rpc.callee.two.call_async(n) for n in range(5)]] == [2, 3, 4, 5, 6]
    with builders.running(Stock, amqp_uri):
        assert rpc.stock.relay(40) == 42


def test_many_calls_at_once_each_get_their_own_answer(within: Within, caller: ServiceContainer) -> None:
    pool = eventlet.GreenPool(200)
    assert list(pool.imap(lambda number: within().two(number, 0), range(300))) == list(range(300))
    assert builders.awaited(caller) == 0
