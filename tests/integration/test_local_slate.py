"""A clean slate for one service on the broker, while others go on."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from infrastructure.local import slate
from infrastructure.local.rabbitmq import RabbitMQ
from shared.amqp import connection
from shared.positions import TOPOLOGY, queue_of
from shared.topology import declare
from tests.conftest import PrivateParts
from tests.integration.broker import Broker
from tests.waiting import eventually

POSITIONS = "bike_service.positions"


@pytest.fixture
def rabbitmq(private_parts: PrivateParts) -> Iterator[RabbitMQ]:
    """Its first vhost, without what a stack has left there."""
    for name in private_parts.rabbitmq.queues():
        private_parts.rabbitmq.delete_queue(name)
    yield private_parts.rabbitmq
    for name in private_parts.rabbitmq.queues():
        private_parts.rabbitmq.delete_queue(name)


@pytest.fixture
def broker(rabbitmq: RabbitMQ) -> Iterator[Broker]:
    outsider = Broker(rabbitmq.url)
    yield outsider
    outsider.close()


def test_positions_that_are_accepted_after_it_wait_for_the_service(rabbitmq: RabbitMQ, broker: Broker) -> None:
    with connection(rabbitmq.url) as gateway:
        declare(gateway, TOPOLOGY)
    broker.connection.default_channel.queue_declare("rpc-bike_service", auto_delete=False)
    broker.report({"number": 1})
    slate.remove_queues(rabbitmq, "bike_service")
    assert set(rabbitmq.queues()) == {queue.name for queue in TOPOLOGY}
    assert broker.take(POSITIONS) is None
    broker.report({"number": 2})
    for queue, numbers in ((POSITIONS, [2]), ("trip_service.positions", [1, 2])):
        messages: list[Any] = [eventually(partial(broker.take, queue)) for _ in numbers]
        assert [message.payload["positions"][0]["number"] for message in messages] == numbers


def test_a_position_queue_of_another_version_is_made_as_this_one_has_it(rabbitmq: RabbitMQ, broker: Broker) -> None:
    channel = broker.connection.default_channel
    for name in (POSITIONS, "trip_service.positions"):
        channel.queue_declare(name, durable=True, auto_delete=False)
    slate.remove_queues(rabbitmq, "bike_service")
    with connection(rabbitmq.url) as service:
        declare(service, [queue_of("bike_service")])
