"""Real parts for the tests that need them: one private PostgreSQL and RabbitMQ a run, started on first use."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from infrastructure.local.postgres import Postgres
from infrastructure.local.rabbitmq import RabbitMQ
from infrastructure.selection import SERVICES


@dataclass(frozen=True)
class PrivateParts:
    """A broker and a database server of this run's own."""

    postgres: Postgres
    rabbitmq: RabbitMQ


@pytest.fixture(scope="session")
def private_parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateParts]:
    """Started once; every user of it takes a vhost and databases of its own."""
    with running_parts(tmp_path_factory.mktemp("parts")) as parts:
        yield parts


@contextmanager
def running_parts(folder: Path) -> Iterator[PrivateParts]:
    """With their data in `folder`; stopped in the end."""
    postgres, rabbitmq = Postgres(folder / "postgres"), RabbitMQ(folder / "rabbitmq")
    try:
        postgres.prepare()
        postgres.start()
        rabbitmq.prepare(SERVICES)
        rabbitmq.start()
        postgres.wait_ready(timeout=30)
        rabbitmq.wait_ready(timeout=60)
        yield PrivateParts(postgres, rabbitmq)
    finally:
        rabbitmq.stop(graceful=False)
        postgres.stop()


def unique_name(prefix: str) -> str:
    """A name for a database or a vhost that nobody else has."""
    return f"{prefix}_{uuid.uuid4().hex[:12]}"
