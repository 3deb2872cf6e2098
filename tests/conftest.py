"""Real parts for the tests that need them: one private PostgreSQL and RabbitMQ a run, started on first use."""

import eventlet

# Before anything else imports sockets or threads, as the services do.
eventlet.monkey_patch()

import uuid  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402

from infrastructure.local.postgres import Postgres  # noqa: E402
from infrastructure.local.rabbitmq import RabbitMQ  # noqa: E402
from infrastructure.selection import SERVICES  # noqa: E402


@dataclass(frozen=True)
class PrivateParts:
    """A broker and a database server of this run's own."""

    postgres: Postgres
    rabbitmq: RabbitMQ


@pytest.fixture(scope="session")
def private_parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateParts]:
    """Started once; every user of it takes a vhost and databases of its own."""
    folder: Path = tmp_path_factory.mktemp("parts")
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
