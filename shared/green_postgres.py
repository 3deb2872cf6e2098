"""Waiting for PostgreSQL without blocking the process, and not for ever.

Under eventlet psycopg2 waits through a callback, and eventlet's own has no limit: a server or a network that falls
silent would hold a greenlet, and its pooled connection, until TCP gives up after a quarter of an hour. The server's
`statement_timeout` does not help there, it lives at the other side.
"""

import psycopg2
from eventlet.hubs import trampoline
from psycopg2 import extensions

# Longer than the statement_timeout of `shared.database`, after which a server that is there has answered.
SILENCE_LIMIT_S = 15.0


class LimitedConnection(extensions.connection):
    """A connection on which nothing is waited for longer than `silence_limit_s`."""

    silence_limit_s: float | None = SILENCE_LIMIT_S


def install() -> None:
    """Wait by `wait` on every psycopg2 connection of this process; after eventlet.monkey_patch()."""
    extensions.set_wait_callback(wait)


def wait(connection: extensions.connection) -> None:
    """Let other greenlets run until libpq is done; raises OperationalError, and so ends the connection, on silence."""
    limit = getattr(connection, "silence_limit_s", None)
    error = psycopg2.OperationalError("the database has gone silent")
    while True:
        state = connection.poll()
        if state == extensions.POLL_OK:
            return
        if state == extensions.POLL_READ:
            trampoline(connection.fileno(), read=True, timeout=limit, timeout_exc=error)
        elif state == extensions.POLL_WRITE:
            trampoline(connection.fileno(), write=True, timeout=limit, timeout_exc=error)
        else:
            raise psycopg2.OperationalError(f"an unknown state of the connection: {state}")
