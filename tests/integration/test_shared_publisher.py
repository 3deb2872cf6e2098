"""The confirming publisher against a real broker, whole, cut, and silent."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import eventlet
import pytest
from kombu import Queue
from nameko.testing.utils import get_extension

from shared.errors import Unavailable
from shared.publisher import ConfirmingPublisher, Publisher, SharedPublisher, Unroutable
from tests.conftest import unique_name
from tests.integration import builders
from tests.integration.broker import Broker
from tests.integration.tcp_proxy import TcpProxy, in_front_of
from tests.waiting import eventually


@pytest.fixture
def broker(amqp_uri: str) -> Iterator[Broker]:
    outsider = Broker(amqp_uri)
    yield outsider
    outsider.close()


@pytest.fixture
def queue(broker: Broker) -> str:
    name = unique_name("published")
    Queue(name, durable=True)(broker.connection.default_channel).declare()
    return name


@pytest.fixture
def started() -> Iterator[Callable[[str], ConfirmingPublisher]]:
    publishers: list[ConfirmingPublisher] = []

    def start(uri: str) -> ConfirmingPublisher:
        publisher = ConfirmingPublisher(uri)
        publisher.start()
        publishers.append(publisher)
        return publisher

    yield start
    for each in publishers:
        each.stop()


@pytest.fixture
def publisher(amqp_uri: str, started: Callable[[str], ConfirmingPublisher]) -> ConfirmingPublisher:
    return started(amqp_uri)


@pytest.fixture
def proxy(amqp_uri: str) -> Iterator[tuple[TcpProxy, str]]:
    with in_front_of(amqp_uri) as both:
        yield both


@pytest.fixture
def fragile(proxy: tuple[TcpProxy, str], started: Callable[[str], ConfirmingPublisher]) -> ConfirmingPublisher:
    """A publisher, connected, behind the proxy."""
    publisher = started(proxy[1])
    publisher.check(5)
    return publisher


def outcome(publisher: ConfirmingPublisher, queue: str, **options: Any) -> tuple[Exception | None, float]:
    """What one publish ended in, and after how many seconds."""
    began = time.monotonic()
    try:
        publisher.publish("", queue, b"x", **options)
    except Exception as error:  # the test looks at it
        return error, time.monotonic() - began
    return None, time.monotonic() - began


def held(broker: Broker, queue: str) -> int:
    count = Queue(queue, no_declare=True)(broker.connection.default_channel).queue_declare(passive=True)
    return int(count.message_count)


def test_a_confirmed_message_is_in_its_queue_as_it_was_given(
    publisher: ConfirmingPublisher, broker: Broker, queue: str
) -> None:
    publisher.publish(
        "",
        queue,
        b"body",
        headers={"a": 1},
        content_type="text/plain",
        timestamp=1700000000,
        message_id="m",
        reply_to="r",
    )
    message = broker.take(queue)
    assert message is not None
    assert bytes(message.body) == b"body" if isinstance(message.body, bytes) else message.body == "body"
    assert message.headers == {"a": 1}
    assert message.content_type == "text/plain"
    assert message.properties["delivery_mode"] == 2
    assert {name: message.properties[name] for name in ("timestamp", "message_id", "reply_to")} == {
        "timestamp": 1700000000,
        "message_id": "m",
        "reply_to": "r",
    }


def test_a_message_that_no_queue_takes_is_unroutable(publisher: ConfirmingPublisher) -> None:
    with pytest.raises(Unroutable):
        publisher.publish("", unique_name("nowhere"), b"")
    publisher.publish("", unique_name("nowhere"), b"", mandatory=False)


def test_of_many_in_flight_each_learns_its_own_outcome(
    publisher: ConfirmingPublisher, broker: Broker, queue: str
) -> None:
    targets = [queue if number % 5 else unique_name("nowhere") for number in range(500)]
    calls = [eventlet.spawn(outcome, publisher, target, persistent=False, timeout=20) for target in targets]
    errors = [call.wait()[0] for call in calls]
    assert [type(error) for error in errors] == [type(None) if number % 5 else Unroutable for number in range(500)]
    assert held(broker, queue) == 400


def test_a_message_of_several_frames_arrives_whole_among_small_ones(
    publisher: ConfirmingPublisher, broker: Broker, queue: str
) -> None:
    bodies = {bytes([65 + number]) * (1_000_000 if number % 3 == 0 else 10) for number in range(12)}
    list(eventlet.GreenPool().imap(lambda body: publisher.publish("", queue, body, timeout=20), bodies))
    taken = [eventually(lambda: broker.take(queue)) for _ in bodies]
    assert {m.body.encode() if isinstance(m.body, str) else bytes(m.body) for m in taken if m} == bodies


def test_check_asks_the_broker(fragile: ConfirmingPublisher, proxy: tuple[TcpProxy, str]) -> None:
    fragile.check()
    assert fragile.is_connected()
    proxy[0].pause()
    began = time.monotonic()
    with pytest.raises(Unavailable):
        fragile.check(0.3)
    assert 0.25 < time.monotonic() - began < 2.5
    proxy[0].restore()
    fragile.check(5)
    proxy[0].refuse()
    eventually(lambda: not fragile.is_connected())
    with pytest.raises(Unavailable):
        fragile.check(0.3)


def test_a_lost_connection_fails_what_is_in_flight_at_once_and_later_calls_work(
    fragile: ConfirmingPublisher, proxy: tuple[TcpProxy, str], queue: str
) -> None:
    proxy[0].pause()
    calls = [eventlet.spawn(outcome, fragile, queue, timeout=30) for _ in range(20)]
    eventlet.sleep(0)
    proxy[0].cut()
    proxy[0].restore()
    outcomes = [call.wait() for call in calls]
    assert {type(error) for error, _ in outcomes} == {Unavailable}
    assert max(seconds for _, seconds in outcomes) < 2
    eventually(lambda: outcome(fragile, queue, timeout=2)[0] is None, timeout=5)


def test_while_the_broker_refuses_calls_fail_soon_and_work_again_when_it_is_back(
    fragile: ConfirmingPublisher, proxy: tuple[TcpProxy, str], queue: str
) -> None:
    proxy[0].refuse()
    eventually(lambda: not fragile.is_connected())
    error, seconds = outcome(fragile, queue, timeout=30)
    assert isinstance(error, Unavailable)
    assert error.retry_after == 2
    assert seconds < 4
    proxy[0].restore()
    eventually(lambda: outcome(fragile, queue, timeout=3)[0] is None, timeout=6)


def test_a_silent_broker_is_unavailable_at_the_time_limit_and_not_later(
    fragile: ConfirmingPublisher, proxy: tuple[TcpProxy, str], broker: Broker, queue: str
) -> None:
    proxy[0].pause()
    calls = [eventlet.spawn(outcome, fragile, queue, timeout=limit) for limit in (0.2, 0.6, 0.6)]
    for call, limit in zip(calls, (0.2, 0.6, 0.6), strict=True):
        error, seconds = call.wait()
        assert isinstance(error, Unavailable)
        assert limit - 0.05 < seconds < limit + 0.5
    proxy[0].restore()
    fragile.publish("", queue, b"after", timeout=5)
    # What was given up may have left all the same, whole.
    eventually(lambda: held(broker, queue) == 4)


def test_a_connection_that_stays_silent_is_replaced(
    monkeypatch: pytest.MonkeyPatch, proxy: tuple[TcpProxy, str], fragile: ConfirmingPublisher
) -> None:
    monkeypatch.setattr("shared.broker_link.HEARTBEAT", 0.5)
    proxy[0].pause()
    eventually(lambda: not fragile.is_connected(), timeout=5)
    proxy[0].cut()
    proxy[0].restore()
    eventually(fragile.is_connected, timeout=5)
    fragile.check(5)


def test_an_unknown_exchange_fails_its_call_and_the_publisher_recovers(
    publisher: ConfirmingPublisher, queue: str
) -> None:
    publisher.check(5)
    with pytest.raises(Unavailable) as caught:
        publisher.publish(unique_name("no_exchange"), "key", b"", timeout=5)
    assert not isinstance(caught.value, Unroutable)
    eventually(lambda: outcome(publisher, queue, timeout=2)[0] is None, timeout=5)


def test_stopping_leaves_nobody_waiting(fragile: ConfirmingPublisher, proxy: tuple[TcpProxy, str], queue: str) -> None:
    proxy[0].pause()
    calls = [eventlet.spawn(outcome, fragile, queue, timeout=30) for _ in range(5)]
    eventlet.sleep(0)
    fragile.stop()
    outcomes = [call.wait() for call in calls]
    assert {type(error) for error, _ in outcomes} == {Unavailable}
    assert max(seconds for _, seconds in outcomes) < 10
    assert not fragile.is_connected()


def test_a_service_has_one_publisher_for_all_its_extensions(amqp_uri: str) -> None:
    class Service:
        name = unique_name("service")
        first, second = Publisher(), Publisher()

    with builders.running(Service, amqp_uri) as container:
        shared = get_extension(container, SharedPublisher)
        injected = [each.get_dependency(None) for each in container.dependencies]
        assert injected == [shared.core, shared.core]
        injected[0].check(5)
    assert not injected[0].is_connected()
