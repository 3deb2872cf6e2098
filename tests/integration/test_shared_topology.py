"""Queues are declared again and again; one with other arguments is a clear error."""

import pytest
from kombu import Exchange, Queue

from shared.amqp import connection
from shared.topology import TopologyMismatch, declare, durable_queue
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
