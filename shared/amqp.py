"""Connections to the broker, and what counts as losing one."""

import amqp.exceptions
import kombu.exceptions
from kombu import Connection

HEARTBEAT = 10
CONNECT_TIMEOUT = 5

# `amqp`'s own errors, kombu's wrapper around them, and the plain socket errors that neither wraps.
BROKER_ERRORS = (OSError, amqp.exceptions.AMQPError, kombu.exceptions.OperationalError)


def connection(uri: str) -> Connection:
    """A connection to `uri`, not yet established, that notices a dead peer and does not wait for ever."""
    return Connection(uri, heartbeat=HEARTBEAT, connect_timeout=CONNECT_TIMEOUT)
