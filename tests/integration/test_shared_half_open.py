"""Connections whose other end is gone without a word: they are noticed, left without a farewell, and made again."""

import time
from collections.abc import Iterator

import eventlet
import pytest

from shared import amqp as shared_amqp
from shared.amqp import BROKER_ERRORS, connection
from shared.batch import DeadLetter, Delivery, batch_consume
from shared.errors import DomainError
from shared.rpc import rpc
from shared.rpc_proxy import RpcProxy, ServiceProxy
from shared.topology import durable_queue
from tests.conftest import unique_name
from tests.integration import builders
from tests.integration.batch_toy import EXCHANGE
from tests.integration.broker import Broker
from tests.integration.tcp_proxy import in_front_of
from tests.waiting import eventually

QUEUE = unique_name("half_open")
taken: list[bytes] = []


class Consumer:
    """Consumes in both ways: calls, and batches."""

    name = "half_open_consumer"

    @rpc
    def answer(self) -> int:
        return 42

    @batch_consume(durable_queue(QUEUE, EXCHANGE, [QUEUE]))
    def take(self, deliveries: list[Delivery]) -> list[DeadLetter]:
        taken.extend(delivery.body for delivery in deliveries)
        return []


class Caller:
    name = "half_open_caller"
    consumer = RpcProxy(Consumer.name, timeout=1)


@pytest.fixture
def _fast_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_amqp, "HEARTBEAT", 1)


@pytest.fixture
def broker(amqp_uri: str) -> Iterator[Broker]:
    outsider = Broker(amqp_uri)
    yield outsider
    outsider.close()


def answers(consumer: ServiceProxy) -> bool:
    try:
        return bool(consumer.answer() == 42)
    except DomainError:
        return False


@pytest.mark.usefixtures("_fast_heartbeats")
def test_consumers_leave_half_open_connections(amqp_uri: str, broker: Broker) -> None:
    with (
        in_front_of(amqp_uri) as (proxy, uri),
        builders.running(Consumer, uri),
        builders.running(Caller, amqp_uri) as caller,
    ):
        consumer = builders.proxy_within(caller)
        eventually(lambda: answers(consumer))
        proxy.forsake()
        broker.publish("batches", QUEUE, b"after")
        eventually(lambda: b"after" in taken, 15)
        eventually(lambda: answers(consumer), 15)


def test_nothing_is_waited_for_from_a_silent_broker(amqp_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_amqp, "ANSWER_LIMIT_S", 0.3)
    with in_front_of(amqp_uri) as (proxy, uri):
        conn = connection(uri)
        conn.connect()
        proxy.forsake()
        since = time.monotonic()
        with eventlet.Timeout(5):
            with pytest.raises(BROKER_ERRORS):
                conn.channel()
            conn.release()
        assert time.monotonic() - since < 2
