"""The outbox and its relay: an event is published if and only if its change is committed."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import eventlet
import pytest
from kombu import Exchange, Queue
from kombu.message import Message
from nameko.containers import ServiceContainer
from nameko.testing.utils import get_extension
from sqlalchemy import delete, func, select

from shared import inbox, log, outbox
from shared.outbox import OutboxRelay, record
from tests.conftest import PrivateParts, unique_name
from tests.integration import builders
from tests.integration.broker import Broker
from tests.integration.shared_tables import Base, Outbox, create, transaction
from tests.integration.tcp_proxy import TcpProxy, in_front_of
from tests.waiting import eventually

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Watch:
    """Every event of one source from now on."""

    def __init__(self, broker: Broker, source: str) -> None:
        self.broker, self.queue = broker, unique_name("watch")
        exchange = Exchange(f"{source}.events", type="topic", durable=True)
        Queue(self.queue, exchange, routing_key="#", expires=60_000)(broker.connection.default_channel).declare()
        self.messages: list[Message] = []

    def payloads(self) -> list[dict[str, Any]]:
        while (message := self.broker.take(self.queue)) is not None:
            self.messages.append(message)
        return [json.loads(each.body) for each in self.messages]

    def numbers(self) -> list[int]:
        """The `data.number` of each, in the order of publishing."""
        return [payload["data"]["number"] for payload in self.payloads()]


@pytest.fixture(scope="module")
def database_url(private_parts: PrivateParts) -> str:
    return create(private_parts)


@pytest.fixture
def url(database_url: str) -> str:
    with transaction(database_url) as session:
        session.execute(delete(Outbox))
    return database_url


@pytest.fixture
def source() -> str:
    return unique_name("source")


@pytest.fixture
def watch(amqp_uri: str, source: str) -> Iterator[Watch]:
    broker = Broker(amqp_uri)
    yield Watch(broker, source)
    broker.close()


@pytest.fixture
def relay(run_container: Callable[..., ServiceContainer], source: str, url: str) -> Callable[..., ServiceContainer]:
    """Starts a service whose outbox is relayed."""

    def run(**config: Any) -> ServiceContainer:
        class Service:
            name = source
            relay = OutboxRelay(Base, Outbox)

        return run_container(Service, DB_URIS={f"{source}:Base": url}, **config)

    return run


def change(url: str, *numbers: int, then: Exception | None = None) -> None:
    """One transaction with an event for each number."""
    with transaction(url) as session:
        record(session, Outbox, "changed", [{"number": number, "revision": 1} for number in numbers], NOW)
        if then is not None:
            raise then


def waiting(url: str) -> int:
    with transaction(url) as session:
        return int(session.execute(select(func.count()).select_from(Outbox)).scalar_one())


def test_an_event_of_a_committed_change_is_published_with_its_envelope(
    relay: Callable[..., ServiceContainer], url: str, watch: Watch
) -> None:
    relay()
    change(url, 7)
    payload = eventually(watch.payloads)[0]
    assert payload == {
        "id": payload["id"],
        "type": "changed",
        "occurred_at": "2026-05-01T12:00:00Z",
        "version": 1,
        "data": {"number": 7, "revision": 1},
    }
    message = watch.messages[0]
    assert message.delivery_info["routing_key"] == "changed"
    assert message.properties["message_id"] == payload["id"]
    assert message.properties["delivery_mode"] == 2
    assert message.content_type == "application/json"
    eventually(lambda: waiting(url) == 0)
    assert inbox.load_event(payload)["occurred_at"] == NOW


def test_an_event_of_a_change_that_was_rolled_back_is_not_published(
    relay: Callable[..., ServiceContainer], url: str, watch: Watch
) -> None:
    relay()
    with pytest.raises(KeyError):
        change(url, 1, 2, then=KeyError())
    change(url, 3)
    eventually(lambda: watch.numbers() == [3])


def test_an_event_is_not_published_before_its_commit(
    relay: Callable[..., ServiceContainer], url: str, watch: Watch
) -> None:
    relay()
    with transaction(url) as session:
        record(session, Outbox, "changed", [{"number": 1, "revision": 1}], NOW)
        session.flush()
        change(url, 2)
        eventually(lambda: watch.numbers() == [2])
    eventually(lambda: watch.numbers() == [2, 1])


def test_what_was_committed_before_the_start_is_published(
    relay: Callable[..., ServiceContainer], url: str, watch: Watch
) -> None:
    change(url, *range(3))
    relay()
    eventually(lambda: sorted(watch.numbers()) == [0, 1, 2])


def test_stopping_publishes_what_is_committed(relay: Callable[..., ServiceContainer], url: str, watch: Watch) -> None:
    container = relay()
    change(url, *range(450))
    container.stop()
    assert waiting(url) == 0
    assert sorted(watch.numbers()) == list(range(450))


def test_two_relays_share_one_table_and_publish_each_event_once(
    amqp_uri: str, source: str, url: str, watch: Watch, relay: Callable[..., ServiceContainer]
) -> None:
    change(url, *range(1000))
    first, second = relay(), relay()
    eventually(lambda: waiting(url) == 0, timeout=20)
    change(url, *range(1000, 1010))
    eventually(lambda: len(watch.numbers()) >= 1010)
    assert sorted(watch.numbers()) == list(range(1010))
    first.stop()
    second.stop()


def test_the_request_id_goes_along(relay: Callable[..., ServiceContainer], url: str, watch: Watch) -> None:
    relay()

    def work() -> None:
        log.set_request_id("r-1")
        change(url, 1)

    eventlet.spawn(work).wait()
    eventually(watch.numbers)
    assert watch.messages[0].headers["nameko.request_id"] == "r-1"


@pytest.fixture
def proxy(amqp_uri: str) -> Iterator[tuple[TcpProxy, str]]:
    with in_front_of(amqp_uri) as both:
        yield both


def test_while_the_broker_is_away_events_stay_and_are_published_after(
    relay: Callable[..., ServiceContainer],
    url: str,
    watch: Watch,
    proxy: tuple[TcpProxy, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    relay(AMQP_URI=proxy[1])
    proxy[0].refuse()
    change(url, *range(5))
    eventually(lambda: "the outbox waits" in caplog.messages)
    assert waiting(url) == 5
    assert watch.numbers() == []
    proxy[0].restore()
    eventually(lambda: set(watch.numbers()) == set(range(5)))
    eventually(lambda: waiting(url) == 0)


def test_a_relay_that_loses_the_broker_on_the_way_loses_no_event(
    relay: Callable[..., ServiceContainer], url: str, watch: Watch, proxy: tuple[TcpProxy, str]
) -> None:
    relay(AMQP_URI=proxy[1])
    change(url, *range(500))
    eventually(watch.numbers)
    proxy[0].cut()
    eventually(lambda: waiting(url) == 0)
    assert set(watch.numbers()) == set(range(500))


def test_a_relay_whose_database_is_away_goes_on_when_it_is_back(
    run_container: Callable[..., ServiceContainer], source: str, url: str, watch: Watch
) -> None:
    with in_front_of(url) as (proxy, through):

        class Service:
            name = source
            relay = OutboxRelay(Base, Outbox)

        container = run_container(Service, DB_URIS={f"{source}:Base": through})
        proxy.refuse()
        change(url, 1)
        proxy.restore()
        eventually(lambda: watch.numbers() == [1])
        assert not container._died.ready()
        container.stop()


def test_a_batch_takes_the_oldest_or_the_newest(
    monkeypatch: pytest.MonkeyPatch, amqp_uri: str, source: str, url: str, watch: Watch
) -> None:
    monkeypatch.setattr(outbox, "BATCH", 3)
    # A relay that does nothing of its own.
    monkeypatch.setattr(OutboxRelay, "start", lambda self: None)

    class Service:
        name = source
        relay = OutboxRelay(Base, Outbox)

    with builders.running(Service, amqp_uri, DB_URIS={f"{source}:Base": url}) as container:
        relay = get_extension(container, OutboxRelay)
        for number in range(8):
            change(url, number)
        taken = [relay.publish_batch(newest_first) for newest_first in (False, True, False, False)]
        assert taken == [3, 3, 2, 0]
        assert [set(watch.numbers()[a:b]) for a, b in ((0, 3), (3, 6), (6, 8))] == [{0, 1, 2}, {5, 6, 7}, {3, 4}]


def test_what_is_new_does_not_wait_for_the_end_of_a_backlog(
    monkeypatch: pytest.MonkeyPatch, relay: Callable[..., ServiceContainer], url: str, watch: Watch
) -> None:
    monkeypatch.setattr(outbox, "BATCH", 10)
    change(url, *range(100))
    relay()
    eventually(lambda: len(watch.numbers()) == 100)
    assert 99 in watch.numbers()[:20]
