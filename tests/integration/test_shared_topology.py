"""Queues are declared again and again; one with other arguments is a clear error."""

from typing import Any

import pytest
from amqp.exceptions import NotFound
from kombu import Exchange, Queue

from shared import topology
from shared.amqp import connection
from shared.topology import TopologyMismatch, dead_letter_queue, declare, durable_queue
from tests.conftest import unique_name

EXCHANGE = Exchange("topology", type="topic", durable=True)


def test_declaring_again_has_no_effect(amqp_uri: str) -> None:
    queue = durable_queue(unique_name("queue"), EXCHANGE, ["key"])
    with connection(amqp_uri) as conn:
        declare(conn, [queue])
        declare(conn, [queue])


def test_a_queue_with_other_arguments_is_named(amqp_uri: str) -> None:
    name = unique_name("queue")
    with connection(amqp_uri) as conn:
        declare(conn, [Queue(name, EXCHANGE, routing_key="key", durable=True)])
        with pytest.raises(TopologyMismatch, match=name):
            declare(conn, [durable_queue(name, EXCHANGE, ["key"])])


def test_a_dead_letter_queue_without_the_limit_on_looks_is_used_as_it_is(amqp_uri: str) -> None:
    """Its letters are worth more than its arguments; any other difference is an error as everywhere."""
    limitless, short = (durable_queue(unique_name("queue"), EXCHANGE, ["key"]) for _ in range(2))
    few = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000, "x-max-length": 5}
    with connection(amqp_uri) as conn:
        declare(conn, [Queue(f"{limitless.name}.dead", durable=True, queue_arguments={"x-queue-type": "quorum"})])
        declare(conn, [dead_letter_queue(limitless), limitless])
        declare(conn, [Queue(f"{short.name}.dead", durable=True, queue_arguments=few)])
        with pytest.raises(TopologyMismatch, match=short.name):
            declare(conn, [dead_letter_queue(short)])


class Hurried:
    """A queue that another process is making: RabbitMQ does not find its home node twice."""

    name = "hurried"

    def __init__(self, refusals: int) -> None:
        self.refusals, self.declared = refusals, 0

    def __call__(self, channel: Any) -> "Hurried":
        return self

    def declare(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise NotFound("home node of durable queue is down or inaccessible")
        self.declared += 1


def test_a_queue_that_another_process_is_making_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, amqp_uri: str
) -> None:
    monkeypatch.setattr(topology, "AGAIN_S", 0)
    with connection(amqp_uri) as conn:
        hurried = Hurried(2)
        declare(conn, [hurried])  # type: ignore[list-item]
        assert hurried.declared == 1
        with pytest.raises(NotFound):
            declare(conn, [Hurried(1000)])  # type: ignore[list-item]
