"""A PostgreSQL and a RabbitMQ of this run's own, and in them a ground for each stack: a vhost and two databases."""

import datetime as dt
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg2

from benchmarks import environment
from benchmarks.errors import BenchmarkError
from benchmarks.usage import Groups
from infrastructure.local.postgres import Postgres
from infrastructure.local.rabbitmq import RabbitMQ

PARTITION_DAYS = range(-31, 8)
# Names of processes, as the kernel has them, by group.
PROGRAMS = {"postgres": "postgres", "rabbitmq": "beam.smp"}


@dataclass(frozen=True)
class Ground:
    """What a stack stands on."""

    name: str
    amqp_uri: str
    bike_url: str
    trip_url: str

    def bikes(self) -> Any:
        """A connection to bike_service's database that commits each statement."""
        return _connect(self.bike_url)

    def trips(self) -> Any:
        """A connection to trip_service's database that commits each statement."""
        return _connect(self.trip_url)

    @property
    def environment(self) -> Mapping[str, str]:
        """For the services."""
        return {
            "AMQP_URI": self.amqp_uri, "BIKE_DATABASE_URL": self.bike_url, "TRIP_DATABASE_URL": self.trip_url,
        }  # fmt: skip

    def migrate(self) -> None:
        """Our migrations, and the partitions that our service would make. Raises BenchmarkError."""
        variables = {**environment.clean(), **self.environment}
        children = [
            subprocess.Popen(
                [sys.executable, "-m", "shared.migrate", service], env=variables, cwd=environment.ROOT,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )
            for service in ("bike_service", "trip_service")
        ]  # fmt: skip
        for child in children:
            output, _ = child.communicate()
            if child.returncode:
                raise BenchmarkError(f"a migration failed: {output[-1000:]}")
        today = dt.datetime.now(dt.UTC).date()
        with self.trips() as connection, connection.cursor() as cursor:
            for offset in PARTITION_DAYS:
                day = today + dt.timedelta(days=offset)
                following = day + dt.timedelta(days=1)
                cursor.execute(
                    f"CREATE TABLE IF NOT EXISTS positions_p{day:%Y%m%d} PARTITION OF positions"
                    f" FOR VALUES FROM ('{day} 00:00+00') TO ('{following} 00:00+00')"
                )


def _connect(url: str) -> Any:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    return connection


class Parts:
    """`start`, then `ground` for each stack; `stop` whatever happened."""

    def __init__(self, folder: Path) -> None:
        self._postgres, self._rabbitmq = Postgres(folder / "postgres"), RabbitMQ(folder / "rabbitmq")

    def start(self) -> None:
        """Raises LocalError."""
        self._postgres.prepare()
        self._postgres.start()
        self._rabbitmq.prepare()
        self._rabbitmq.start()
        self._postgres.wait_ready(timeout=60)
        self._rabbitmq.wait_ready(timeout=120)

    def stop(self) -> None:
        self._rabbitmq.stop(graceful=False)
        self._postgres.stop()

    def ground(self, name: str) -> Ground:
        """A migrated ground of this name."""
        ground = Ground(
            name,
            self._rabbitmq.add_vhost(name),
            self._postgres.create_database(f"{name}_bikes"),
            self._postgres.create_database(f"{name}_trips"),
        )
        ground.migrate()
        return ground

    def drop(self, ground: Ground) -> None:
        """Give back what the ground takes."""
        self._rabbitmq.delete_vhost(ground.name)
        for database in (f"{ground.name}_bikes", f"{ground.name}_trips"):
            self._postgres.drop_database(database)

    def settle(self) -> None:
        """Write out what earlier work has left in the database's memory, lest it falls to what is measured next."""
        with _connect(self._postgres.admin_url) as connection, connection.cursor() as cursor:
            cursor.execute("CHECKPOINT")
        connection.close()

    @property
    def groups(self) -> Groups:
        children = psutil.Process().children()
        return {
            group: [child.pid for child in children if child.name() == program] for group, program in PROGRAMS.items()
        }
