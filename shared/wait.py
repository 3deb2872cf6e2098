"""Waiting, at start, for what a service cannot do without: says what it waits for, and not for ever."""

import logging
import time
from collections.abc import Callable

import eventlet
import psycopg2
from sqlalchemy.engine import make_url

from shared.amqp import BROKER_ERRORS, connection

log = logging.getLogger(__name__)

DEFAULT_LIMIT_S = 120.0
MAX_BACKOFF_S = 2.0
# The clients' own limits do not hold for a server that takes the connection and is silent.
ATTEMPT_LIMIT_S = 5.0


class WaitedTooLong(Exception):
    """What was waited for did not answer within the limit."""


def wait_for(what: str, attempt: Callable[[], None], errors: tuple[type[Exception], ...], limit_s: float) -> None:
    """Call `attempt` until it raises none of `errors`; raises WaitedTooLong after `limit_s` seconds."""
    until = time.monotonic() + limit_s
    # Not a TimeoutError: the clients take that for a connection's and try again by themselves.
    failures: tuple[type[BaseException], ...] = (*errors, eventlet.Timeout)
    backoff = 0.1
    while True:
        try:
            seconds = min(max(until - time.monotonic(), 1.0), ATTEMPT_LIMIT_S)
            with eventlet.Timeout(seconds):
                return attempt()
        except failures as error:
            reason = "no answer" if isinstance(error, eventlet.Timeout) else str(error).strip() or repr(error)
            if time.monotonic() > until:
                raise WaitedTooLong(f"{what} did not answer within {limit_s:g} s: {reason}") from error
            log.info("waiting for %s", what, extra={"reason": reason, "retry_in_s": backoff})
        eventlet.sleep(backoff)
        backoff = min(backoff * 2, MAX_BACKOFF_S)


def wait_for_database(url: str, limit_s: float = DEFAULT_LIMIT_S) -> None:
    """Return once the database at `url` answers a query."""
    parts = make_url(url)

    def attempt() -> None:
        session = psycopg2.connect(parts.set(drivername="postgresql").render_as_string(False), connect_timeout=3)
        try:
            with session.cursor() as cursor:
                cursor.execute("SELECT 1")
        finally:
            session.close()

    what = f"database {parts.database} at {parts.host}:{parts.port or 5432}"
    wait_for(what, attempt, (psycopg2.OperationalError,), limit_s)


def wait_for_broker(uri: str, limit_s: float = DEFAULT_LIMIT_S) -> None:
    """Return once the broker at `uri` lets us in and answers."""
    conn = connection(uri)

    def attempt() -> None:
        with connection(uri) as fresh:
            fresh.connect()
            fresh.default_channel.exchange_declare("amq.topic", "topic", passive=True)

    wait_for(f"broker at {conn.hostname}:{conn.port or 5672}", attempt, BROKER_ERRORS, limit_s)
