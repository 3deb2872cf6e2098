import amqp.exceptions
import kombu.exceptions
import psycopg2
import pytest
import sqlalchemy.exc

from shared.errors import Conflict, DeadlineExceeded, Unavailable
from shared.outage import as_unavailable, is_outage


class QueueUnroutable(Unavailable):
    """Narrower than what a caller knows."""


def database_error(
    kind: type[sqlalchemy.exc.DBAPIError], *, connection_lost: bool = False
) -> sqlalchemy.exc.DBAPIError:
    cause = psycopg2.Error("secret of the database")
    return kind("SELECT secret", {}, cause, connection_invalidated=connection_lost)


BROKER = [
    ConnectionResetError(104, "reset"),
    BrokenPipeError(32, "broken"),
    TimeoutError("timed out"),
    amqp.exceptions.ConnectionForced("shutdown"),
    amqp.exceptions.RecoverableConnectionError("lost"),
    kombu.exceptions.OperationalError("lost"),
]
DATABASE = [
    database_error(sqlalchemy.exc.OperationalError),
    database_error(sqlalchemy.exc.InterfaceError),
    database_error(sqlalchemy.exc.DatabaseError, connection_lost=True),
    sqlalchemy.exc.TimeoutError("QueuePool limit"),
]
DEFECTS = [
    None,
    KeyError("id"),
    ValueError("bad"),
    RecursionError(),
    Conflict("Taken."),
    DeadlineExceeded("Late."),
    database_error(sqlalchemy.exc.IntegrityError),
    database_error(sqlalchemy.exc.DataError),
    database_error(sqlalchemy.exc.ProgrammingError),
    database_error(sqlalchemy.exc.DatabaseError),
    sqlalchemy.exc.NoResultFound(),
]


@pytest.mark.parametrize("error", [*BROKER, *DATABASE, Unavailable("Away."), QueueUnroutable("Away.")], ids=repr)
def test_what_trying_again_may_cure_is_an_outage(error: Exception) -> None:
    assert is_outage(error)


@pytest.mark.parametrize("error", DEFECTS, ids=repr)
def test_what_would_fail_again_is_none(error: Exception | None) -> None:
    assert not is_outage(error)


@pytest.mark.parametrize(("errors", "what"), [(BROKER, "broker"), (DATABASE, "database")])
def test_a_caller_is_told_what_is_away_and_nothing_of_its_insides(errors: list[Exception], what: str) -> None:
    for error in errors:
        told = as_unavailable(error)
        assert (type(told), str(told), told.retry_after) == (Unavailable, f"The {what} is away.", 2)
        assert told.__cause__ is error


def test_a_caller_needs_to_know_no_narrower_class() -> None:
    told = as_unavailable(QueueUnroutable("bike_service is away.", {"retry_after": 5}))
    assert (type(told), str(told), told.retry_after) == (Unavailable, "bike_service is away.", 5)
