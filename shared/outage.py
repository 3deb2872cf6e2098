"""Telling an outage from a defect: what is nobody's fault but the broker's or the database's."""

import errno
import socket

import amqp.exceptions
import kombu.exceptions
import sqlalchemy.exc

from shared.errors import Unavailable

# psycopg2 reports lost connections, cancelled statements, deadlocks, a full disk and a starting or stopping
# server as OperationalError or InterfaceError; SQLAlchemy's TimeoutError is an exhausted pool.
DATABASE_OUTAGES = (sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError, sqlalchemy.exc.TimeoutError)
BROKER_OUTAGES = (amqp.exceptions.AMQPError, kombu.exceptions.OperationalError, ConnectionError, TimeoutError)
OUTAGES = (*DATABASE_OUTAGES, *BROKER_OUTAGES, socket.gaierror, Unavailable)
# Of the other OSErrors just those of a network; a missing file or a number out of range is a defect.
NETWORK_ERRNOS = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EBADF}


def is_outage(error: BaseException | None) -> bool:
    """Whether `error` says that the broker or a database is away or overloaded, so that trying again may help."""
    if isinstance(error, sqlalchemy.exc.DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, OUTAGES) or (isinstance(error, OSError) and error.errno in NETWORK_ERRNOS)


def as_unavailable(error: BaseException) -> Unavailable:
    """The outage `error` as what a caller may be told of it."""
    if isinstance(error, Unavailable):
        # Of no narrower class: a caller need not know more classes than those of `shared.errors`.
        return Unavailable(error.detail, error.extra)
    what = "database" if isinstance(error, sqlalchemy.exc.SQLAlchemyError) else "broker"
    unavailable = Unavailable(f"The {what} is away.", {"retry_after": 2})
    unavailable.__cause__ = error
    return unavailable
