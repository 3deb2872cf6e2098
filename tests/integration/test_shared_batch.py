"""The batch entrypoint: messages are gathered, acknowledged after the method, split when one of them fails."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import eventlet
import pytest
from kombu import Queue
from nameko.containers import ServiceContainer

from shared import dead_letters
from shared.batch import DeadLetter, Delivery, batch_consume
from shared.topology import durable_queue
from tests.conftest import unique_name
from tests.integration.batch_toy import EXCHANGE, Handled
from tests.integration.broker import Broker
from tests.integration.tcp_proxy import in_front_of
from tests.waiting import eventually


@pytest.fixture
def handled() -> Iterator[Handled]:
    made = Handled()
    yield made
    made.release()


Start = Callable[..., ServiceContainer]


@pytest.fixture
def start(amqp_uri: str, handled: Handled) -> Iterator[Start]:
    """Starts a service that consumes `handled.queue`."""
    containers: list[ServiceContainer] = []

    def run(uri: str = amqp_uri, **options: Any) -> ServiceContainer:
        class Service:
            name = unique_name("batcher")

            @batch_consume(durable_queue(handled.queue, EXCHANGE, [handled.queue]), **options)
            def handle(self, deliveries: list[Delivery]) -> list[DeadLetter]:
                return handled(deliveries)

        container = ServiceContainer(Service, {"AMQP_URI": uri, "max_workers": 5})
        container.start()
        containers.append(container)
        return container

    yield run
    for container in containers:
        # At once; what stopping does has tests of its own.
        container.kill()


@pytest.fixture
def broker(amqp_uri: str, handled: Handled) -> Iterator[Broker]:
    outsider = Broker(amqp_uri)
    channel = outsider.connection.default_channel
    durable_queue(handled.queue, EXCHANGE, [handled.queue])(channel).declare()
    Queue(handled.queue + ".dead", durable=True, queue_arguments={"x-queue-type": "quorum"})(channel).declare()
    yield outsider
    outsider.close()


@pytest.fixture
def publish(broker: Broker, handled: Handled) -> Callable[..., None]:
    def send(*bodies: str, **properties: Any) -> None:
        for body in bodies:
            broker.publish("batches", handled.queue, body.encode(), **properties)

    return send


def numbered(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def left(broker: Broker, queue: str) -> int:
    """How many messages are in `queue` once nobody consumes from it, those delivered and not acknowledged included."""

    def declared() -> Any:
        return Queue(queue, no_declare=True)(broker.connection.default_channel).queue_declare(passive=True)

    eventually(lambda: declared().consumer_count == 0)
    return int(declared().message_count)


def give_back(broker: Broker, queue: str, times: int) -> None:
    """Take the first message of `queue` and put it back, as consumers do that crash."""
    with broker.connection.channel() as channel:
        for _ in range(times):
            message = eventually(lambda: Queue(queue, no_declare=True)(channel).get())
            assert message is not None
            message.requeue()


def test_several_messages_are_one_call(start: Start, handled: Handled, publish: Callable[..., None]) -> None:
    publish(*numbered(250))
    start(max_messages=100)
    eventually(lambda: len(handled.done) == 250)
    assert handled.done == numbered(250)
    assert len(handled.calls) <= 6
    assert max(map(len, handled.calls)) <= 100


def test_a_batch_is_not_larger_than_its_bytes(start: Start, handled: Handled, publish: Callable[..., None]) -> None:
    publish(*["x" * 400] * 10)
    start(max_messages=100, max_bytes=1000)
    eventually(lambda: len(handled.done) == 10)
    assert max(map(len, handled.calls)) == 3


def test_a_single_message_waits_no_longer_than_max_wait(
    start: Start, handled: Handled, publish: Callable[..., None]
) -> None:
    start(max_messages=100, max_wait=0.05)
    publish("alone")
    eventually(lambda: handled.done == ["alone"], timeout=2)


def test_a_delivery_carries_what_its_message_did(start: Start, handled: Handled, publish: Callable[..., None]) -> None:
    publish("x", timestamp=1700000000, headers={"a": "b"}, content_type="text/x")
    start()
    eventually(lambda: handled.done)
    only = handled.deliveries[0]
    assert (only.body, only.routing_key, only.timestamp) == (b"x", handled.queue, 1700000000)
    assert (only.headers, only.content_type) == ({"a": "b"}, "text/x")


@pytest.mark.parametrize("returned", [0, 2])
def test_messages_are_acknowledged_after_the_method_has_returned(
    returned: int, start: Start, handled: Handled, publish: Callable[..., None], broker: Broker
) -> None:
    handled.hold()
    publish("0")
    give_back(broker, handled.queue, returned)
    publish("1", "2")
    container = start()
    eventually(lambda: handled.calls)
    # Killed as by a crash: what was at hand is back, whole.
    container.kill()
    assert left(broker, handled.queue) == 3
    handled.release()
    start()
    eventually(lambda: sorted(handled.done) == numbered(3))


def test_messages_are_acknowledged_once_handled(
    start: Start, handled: Handled, publish: Callable[..., None], broker: Broker
) -> None:
    container = start(max_messages=10)
    publish(*numbered(30))
    eventually(lambda: len(handled.done) == 30)
    container.stop()
    assert left(broker, handled.queue) == 0


def test_poison_is_split_out_and_its_neighbours_are_handled(
    start: Start, handled: Handled, publish: Callable[..., None], broker: Broker
) -> None:
    publish("a", "poison", "b", headers={"mine": 1}, timestamp=1700000000)
    container = start()
    message = eventually(lambda: broker.take(handled.queue + ".dead"))
    assert message is not None
    assert message.headers[dead_letters.REASON] == "handler_failed"
    assert "poison" in message.headers[dead_letters.DETAIL]
    assert (message.body, message.headers["mine"]) == (b"poison", 1) or message.body == "poison"
    assert message.properties["timestamp"] == 1700000000
    assert handled.done == ["a", "b"]
    container.stop()
    assert left(broker, handled.queue) == 0
    assert broker.take(handled.queue + ".dead") is None


def test_dead_letters_that_the_method_returns_are_kept_with_their_reason(
    start: Start, handled: Handled, publish: Callable[..., None], broker: Broker
) -> None:
    publish("good", "bad")
    start()
    assert broker.dead_letter(handled.queue) == ("too_bad", b"BAD")
    assert handled.done == ["good", "bad"]


def test_during_an_outage_consuming_pauses_and_nothing_is_counted(
    start: Start, handled: Handled, publish: Callable[..., None], broker: Broker
) -> None:
    handled.outages = 3
    publish(*numbered(4))
    container = start()
    eventually(lambda: handled.done == numbered(4))
    assert handled.calls == [numbered(4)] * 4
    container.stop()
    assert left(broker, handled.queue) == 0
    assert left(broker, handled.queue + ".dead") == 0


def test_stopping_during_an_outage_loses_nothing_and_blames_no_message(
    start: Start, handled: Handled, publish: Callable[..., None], broker: Broker
) -> None:
    handled.outages = 1_000
    publish(*numbered(3))
    container = start()
    eventually(lambda: handled.calls)
    container.stop()
    assert left(broker, handled.queue + ".dead") == 0
    handled.outages = 0
    start()
    eventually(lambda: sorted(handled.done) == numbered(3))


def test_a_batch_whose_connection_is_lost_comes_again(
    start: Start, handled: Handled, publish: Callable[..., None], amqp_uri: str, broker: Broker
) -> None:
    with in_front_of(amqp_uri) as (proxy, uri):
        handled.hold()
        publish(*numbered(3))
        container = start(uri)
        eventually(lambda: handled.calls)
        proxy.cut()
        eventually(lambda: len(handled.calls) == 2)
        handled.release()
        eventually(lambda: sorted(handled.done) == sorted(numbered(3) * 2))
        container.stop()
        assert left(broker, handled.queue) == 0


def test_consuming_goes_on_after_the_broker_was_away(
    start: Start, handled: Handled, publish: Callable[..., None], amqp_uri: str
) -> None:
    with in_front_of(amqp_uri) as (proxy, uri):
        container = start(uri)
        publish("before")
        eventually(lambda: handled.done == ["before"])
        proxy.refuse()
        publish("meanwhile")
        proxy.restore()
        eventually(lambda: handled.done == ["before", "meanwhile"], timeout=5)
        container.stop()


def test_a_dead_letter_that_is_not_confirmed_keeps_its_original(
    start: Start, handled: Handled, publish: Callable[..., None], amqp_uri: str, broker: Broker
) -> None:
    with in_front_of(amqp_uri) as (proxy, uri):
        handled.hold()
        publish("bad")
        container = start(uri)
        eventually(lambda: handled.calls)
        proxy.refuse()
        handled.release()
        eventually(lambda: handled.done)
        assert broker.take(handled.queue + ".dead") is None
        proxy.restore()
        assert broker.dead_letter(handled.queue) == ("too_bad", b"BAD")
        container.stop()
        assert left(broker, handled.queue) == 0


def test_stopping_finishes_the_batch_at_hand(
    start: Start, handled: Handled, publish: Callable[..., None], broker: Broker
) -> None:
    handled.hold()
    publish(*numbered(5))
    container = start(max_messages=3)
    eventually(lambda: handled.calls)
    stopping = eventlet.spawn(container.stop)
    eventlet.sleep(0)
    handled.release()
    stopping.wait()
    assert handled.done == numbered(3)
    assert left(broker, handled.queue) == 2
    start()
    eventually(lambda: handled.done == numbered(5))


def test_messages_that_were_often_delivered_are_handled_alone(
    start: Start, handled: Handled, publish: Callable[..., None], broker: Broker
) -> None:
    publish("suspicious")
    give_back(broker, handled.queue, 2)
    publish("a", "b")
    container = start()
    eventually(lambda: len(handled.done) == 3)
    assert ["suspicious"] in handled.calls
    container.stop()
    assert left(broker, handled.queue) == 0


def test_a_body_that_nobody_can_decode_is_the_methods_to_judge(
    start: Start, handled: Handled, publish: Callable[..., None], broker: Broker
) -> None:
    raw = json.dumps({"a": "ü"}, ensure_ascii=False).encode("latin-1")
    broker.publish("batches", handled.queue, raw, content_type="application/json")
    start()
    assert broker.dead_letter(handled.queue) == ("handler_failed", raw)
