"""A service's tables as `shared` lends them, in a database of a test's own."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, Text, create_engine, pool
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from shared.idempotency import IdempotencyMixin
from shared.inbox import InboxMixin
from shared.outbox import OutboxMixin
from tests.conftest import PrivateParts, unique_name
from tests.integration.conftest import as_sqlalchemy


class Base(DeclarativeBase):
    pass


class Outbox(OutboxMixin, Base):
    pass


class Inbox(InboxMixin, Base):
    pass


class IdempotencyKey(IdempotencyMixin, Base):
    pass


class Effect(Base):
    """What a toy service does: a row."""

    __tablename__ = "effects"

    name: Mapped[str] = mapped_column(Text, primary_key=True)


def create(parts: PrivateParts) -> str:
    """The URL of a new database with the tables."""
    url = as_sqlalchemy(parts.postgres.create_database(unique_name("shared")))
    Base.metadata.create_all(engine(url))
    return url


def engine(url: str) -> Engine:
    return create_engine(url, poolclass=pool.NullPool)


@contextmanager
def transaction(url: str) -> Iterator[Session]:
    with Session(engine(url)) as session:
        yield session
        session.commit()
