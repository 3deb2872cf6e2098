"""Connections to the broker, and what counts as losing one."""

from typing import Any

import amqp.exceptions
import amqp.transport
import kombu.exceptions
from kombu import Connection
from kombu.transport import pyamqp

# A peer that is not heard of for twice as long is gone, and found to be gone within the 10 s of a recovery.
HEARTBEAT = 5
CONNECT_TIMEOUT = 5
# The broker answers a declaration, a subscription or a farewell at once, or not at all.
ANSWER_LIMIT_S = 10.0
READ_AT_ONCE = 16_384

# `amqp`'s own errors, kombu's wrapper around them, and the plain socket errors that neither wraps.
BROKER_ERRORS = (OSError, amqp.exceptions.AMQPError, kombu.exceptions.OperationalError)


class _Connection(pyamqp.Connection):
    """Waits for no answer for ever, and from a peer that has fallen silent for none at all, its farewell included."""

    _is_silent = False

    def drain_events(self, timeout: float | None = None) -> Any:
        """Raises TimeoutError after `timeout` seconds, ConnectionError when none is given and nothing comes."""
        if self._is_silent:
            raise ConnectionError("the broker has gone silent")
        try:
            return super().drain_events(timeout=ANSWER_LIMIT_S if timeout is None else timeout)
        except TimeoutError:
            if timeout is not None:
                raise
            self._is_silent = True
            raise ConnectionError("the broker does not answer") from None

    def heartbeat_tick(self, rate: int = 2) -> None:
        """Raises ConnectionForced when too many heartbeats are missing."""
        try:
            super().heartbeat_tick(rate)
        except amqp.exceptions.ConnectionForced:
            self._is_silent = True
            raise


class _Transport(pyamqp.Transport):
    Connection = _Connection


class _SSLTransport(pyamqp.SSLTransport):
    Connection = _Connection


class _Client(Connection):
    def get_transport_cls(self) -> type[pyamqp.Transport]:
        return _SSLTransport if self.transport_cls == "amqps" else _Transport


def connection(uri: str) -> Connection:
    """A connection to `uri`, not yet established, that notices a dead peer and does not wait for ever."""
    return _Client(uri, heartbeat=HEARTBEAT, connect_timeout=CONNECT_TIMEOUT)


def read_ahead(established: Any) -> None:
    """Let py-amqp's `established` connection take from its socket what is there.

    It asks for the header, the payload and the end of each frame in turn, nine system calls for a small message: a
    third of what receiving one costs (32 µs, and 22 so). What it is given beyond that it keeps.
    """
    transport = established.transport
    if isinstance(transport, amqp.transport.TCPTransport):
        receive = transport.sock.recv
        transport._quick_recv = lambda wanted: receive(max(wanted, READ_AT_ONCE))
