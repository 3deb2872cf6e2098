"""Migrations: each service's Alembic scripts, run by one process at a time.

`python -m shared.migrate <service>` brings the service's database up to date and exits.
"""

import importlib
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, MetaData, create_engine, pool, text

from shared.wait import wait_for

# Any number, the same everywhere: it names the lock that one migrating process holds.
ADVISORY_LOCK = 7_245_801
# As long as a migration of large tables may take.
LOCK_LIMIT_S = 3600.0


def alembic_config(service: str, url: str) -> Config:
    """Alembic's configuration for the scripts in `<service>/migrations`."""
    package = importlib.import_module(service)
    config = Config()
    config.set_main_option("script_location", str(Path(str(package.__file__)).parent / "migrations"))
    config.attributes["url"] = url
    return config


def upgrade(service: str, url: str) -> None:
    """Bring the database at `url` to the newest revision of `service`; concurrent calls wait for each other."""
    command.upgrade(alembic_config(service, url), "head")


def run_environment(metadata: MetaData) -> None:
    """The body of a service's `migrations/env.py`."""
    url = context.config.attributes["url"]
    engine = create_engine(url, poolclass=pool.NullPool, hide_parameters=True)
    with engine.connect() as connection:
        wait_for("the migration that another process runs", partial(_lock, connection), (_Busy,), LOCK_LIMIT_S)
        try:
            # Rather fail, and start again, than keep everybody waiting behind a lock that is waited for.
            connection.execute(text("SET lock_timeout = '30s'"))
            connection.commit()
            context.configure(connection=connection, target_metadata=metadata)
            with context.begin_transaction():
                context.run_migrations()
            connection.commit()
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": ADVISORY_LOCK})
            connection.commit()


class _Busy(Exception):
    """Another process holds the lock."""


def _lock(connection: Connection) -> None:
    taken = connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
    connection.commit()
    if not taken:
        raise _Busy("it is still running")


def main(arguments: list[str]) -> Any:
    """Command line; exits with a message when the service or its setting is unknown."""
    if len(arguments) != 1:
        return "usage: python -m shared.migrate SERVICE"
    from shared.config import ConfigurationError
    from shared.run import load_service

    try:
        service = load_service(arguments[0], os.environ)
    except ConfigurationError as error:
        return f"shared.migrate: {error}"
    for url in service.config.get("DB_URIS", {}).values():
        upgrade(service.name, url)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
