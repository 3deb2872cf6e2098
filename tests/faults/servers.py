"""The servers that the faults strike: a broker, and a PostgreSQL for each service, so that one can be lost alone."""

import os
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg2
import requests

from infrastructure.local.postgres import Postgres
from infrastructure.local.rabbitmq import RabbitMQ
from infrastructure.local.rabbitmq_install import find


class Database:
    """A PostgreSQL that can be stopped, killed, paused and flooded."""

    def __init__(self, folder: Path) -> None:
        self.server = Postgres(folder)

    def start(self) -> None:
        self.server.start()
        self.server.wait_ready(30)

    def stop(self) -> None:
        """A fast shutdown: connections are cut."""
        self.server.stop()

    def kill(self) -> None:
        """SIGKILL to all of it at once, as when the machine goes."""
        _signal(self._processes(), signal.SIGKILL)
        self.server.stop()

    def pause(self) -> None:
        _signal(self._processes(), signal.SIGSTOP)

    def resume(self) -> None:
        _signal(self._processes(), signal.SIGCONT)

    def cut_connections(self) -> int:
        """End every connection of a service; returns how many there were."""
        found = self.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return len(found)

    def connect(self, url: str | None = None) -> Any:
        """A connection outside of transactions, of the administrator's to the database in `url`'s place."""
        connection = psycopg2.connect(url or self.server.admin_url)
        connection.autocommit = True
        return connection

    def query(self, statement: str, *arguments: Any, url: str | None = None) -> list[tuple[Any, ...]]:
        connection = self.connect(url)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, arguments or None)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()

    def _processes(self) -> list[psutil.Process]:
        lock = self.server.data / "postmaster.pid"
        postmaster = psutil.Process(int(lock.read_text().split()[0]))
        # Its parent first, or it would notice, and replace, the children that it loses.
        return [postmaster, *postmaster.children(recursive=True)]


class Broker:
    """A RabbitMQ that can be stopped, killed, paused and filled."""

    def __init__(self, folder: Path) -> None:
        self.server = RabbitMQ(folder)

    def start(self) -> None:
        self.server.start()
        self.server.wait_ready(60)

    def stop(self) -> None:
        self.server.stop()

    def kill(self) -> None:
        self.server.stop(graceful=False)

    def pause(self) -> None:
        os.kill(self._pid(), signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self._pid(), signal.SIGCONT)

    def control(self, *arguments: str) -> None:
        """`rabbitmqctl` with these arguments."""
        command = [str(find().server.parent / "rabbitmqctl"), *arguments]
        done = subprocess.run(command, env=self.server.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"

    def cut_connections(self, vhost: str) -> int:
        """Close every connection of a vhost through the management API; returns how many there were."""
        names = [each["name"] for each in self.manage("GET", f"vhosts/{vhost}/connections").json()]
        for name in names:
            # One that has just gone by itself is no failure.
            with suppress(requests.HTTPError):
                self.manage("DELETE", f"connections/{quote(name, safe='')}")
        return len(names)

    def queues(self, vhost: str) -> list[str]:
        """The names of a vhost's queues."""
        return [each["name"] for each in self.manage("GET", f"queues/{vhost}?columns=name").json()]

    def manage(self, method: str, path: str) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(method, f"{self.server.management_url}/api/{path}", timeout=15)
        answer.raise_for_status()
        return answer

    def _pid(self) -> int:
        return int((self.server.folder / "rabbitmq.pid").read_text())


class Servers:
    """All of them, each in a folder of its own below `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.broker = Broker(folder / "rabbitmq")
        self.databases = {name: Database(folder / name) for name in ("bike_service", "trip_service")}

    def start(self) -> None:
        self.broker.server.prepare()
        self.broker.server.start()
        for database in self.databases.values():
            database.server.prepare()
            database.start()
        self.broker.server.wait_ready(60)

    def stop(self) -> None:
        """All of it, whatever state a fault has left it in."""
        for database in self.databases.values():
            with suppress(psutil.Error, OSError):
                database.resume()
            database.stop()
        with suppress(OSError):
            self.broker.resume()
        self.broker.kill()


def _signal(processes: Iterable[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
