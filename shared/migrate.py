"""Migrations: each service's Alembic scripts, run by one process at a time.

`python -m shared.migrate <service>` waits for the service's database, brings it up to date and exits. It needs no
other setting than the database's URL.
"""

import importlib
import logging
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, create_engine, pool, text
from sqlalchemy.exc import OperationalError

from shared.wait import DEFAULT_LIMIT_S, WaitedTooLong, wait_for, wait_for_database

log = logging.getLogger(__name__)

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
    """Bring the database at `url` to the newest revision of `service`; concurrent calls wait for each other.

    One that a newer version has migrated stays as it is: who goes back to this version starts on it.
    """
    config = alembic_config(service, url)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    beyond = set(_heads(url)) - known
    if beyond:
        log.warning("the database is at a revision of a newer version", extra={"revision": sorted(beyond)})
        return
    command.upgrade(config, "head")


def _heads(url: str) -> tuple[str, ...]:
    engine = create_engine(url, poolclass=pool.NullPool, hide_parameters=True)
    with engine.connect() as connection:
        return tuple(MigrationContext.configure(connection).get_current_heads())


def wait_until_migrated(service: str, url: str, limit_s: float) -> None:
    """Return once somebody else has brought the database to the newest revision of `service`, or to one beyond.

    Raises WaitedTooLong after `limit_s` seconds.
    """
    scripts = ScriptDirectory.from_config(alembic_config(service, url))
    older = {script.revision for script in scripts.walk_revisions()} - set(scripts.get_heads())

    def attempt() -> None:
        found = _heads(url)
        if not found or older.intersection(found):
            raise _Behind(f"it is at revision {', '.join(found) or 'none'}, not at {scripts.get_current_head()}")
        # An upgrade migrates first; until it is replaced, this code runs on what the next one has made.
        if set(found) != set(scripts.get_heads()):
            log.warning("the database is at a revision of a newer version", extra={"revision": found})

    wait_for(f"migration of the database of {service}", attempt, (_Behind, OperationalError), limit_s)


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


class _Behind(Exception):
    """The database is not at the newest revision."""


def _lock(connection: Connection) -> None:
    taken = connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
    connection.commit()
    if not taken:
        raise _Busy("it is still running")


def main(arguments: list[str]) -> Any:
    """Command line; exits with a message when the service or a setting is wrong, or the database stays away."""
    if len(arguments) != 1:
        return "usage: python -m shared.migrate SERVICE"
    from shared import config
    from shared import log as logs
    from shared.run import database_urls

    service = arguments[0]
    try:
        logs.configure(service, config.log_level(os.environ))
        urls = database_urls(service, os.environ)
        limit_s = config.number(os.environ, "STARTUP_TIMEOUT", DEFAULT_LIMIT_S, 1, 86_400)
        for url in urls:
            wait_for_database(url, limit_s)
            upgrade(service, url)
    except (config.ConfigurationError, WaitedTooLong) as error:
        return f"shared.migrate: {error}"
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
