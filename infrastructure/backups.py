"""`make backup`, `make restore` and `make psql`: PostgreSQL's own programs, on the services' databases."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from infrastructure import postgres_programs as programs
from infrastructure.local import files
from infrastructure.local.errors import LocalError
from infrastructure.local.layout import ROOT, Layout
from infrastructure.postgres_programs import Target
from infrastructure.selection import WITH_DATABASE, short

FOLDER = ROOT / ".local" / "backups"
# No tables, sequences and views of ours: all that no extension brings, in any schema that is not the server's own.
IS_EMPTY = """
    SELECT NOT EXISTS (
        SELECT FROM pg_class WHERE relnamespace IN (
            SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
        ) AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
    )
"""


def backup(target: Target, service: str, folder: Path, now: datetime) -> Path:
    """Write `<folder>/<service>-<time>.dump` (mode 0600) and check that it can be read; returns its path.

    It is of one moment, that of its beginning; nobody waits for it. Raises LocalError, and leaves no file.
    """
    programs.check_version("pg_dump", programs.server_version(target))
    files.private_folder(folder)
    final = folder / f"{service}-{now:%Y%m%dT%H%M%SZ}.dump"
    if final.exists():
        raise LocalError(f"{final} is there already.")
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=f".{final.name}.")  # mode 0600
    os.close(descriptor)
    try:
        programs.run("pg_dump", target, "--format=custom", "--no-owner", "--no-privileges", f"--file={name}")
        tables = programs.run("pg_restore", None, "--list", name).count(" TABLE DATA ")
        if not tables:
            raise LocalError(f"The backup of {target} holds no tables: has the service ever run there?")
        with open(name, "rb") as written:
            os.fsync(written.fileno())
        os.rename(name, final)
    except BaseException:  # also Ctrl-C, and raised again: half a backup is none
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    return final


def restore(target: Target, file: Path) -> None:
    """Restore `file` into an empty database, as the role of its URL: all of it, or nothing. Raises LocalError."""
    if not file.is_file():
        raise LocalError(f"FROM: there is no file {file}.")
    programs.check_version("pg_restore", programs.server_version(target))
    programs.run("pg_restore", None, "--list", str(file))
    if programs.query(target, IS_EMPTY) != "t":
        raise LocalError(f"{target} is not empty, and nothing is restored over data: name an empty one (DATABASE).")
    options = ("--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", "--no-comments")
    programs.run("pg_restore", target, *options, f"--dbname={target.database}", str(file))


def _backup(environ: Mapping[str, str]) -> int:
    services = [_service(environ)] if environ.get("SERVICE") else list(WITH_DATABASE)
    if environ.get("DATABASE_URL") and len(services) > 1:
        raise LocalError("DATABASE_URL needs SERVICE=bike or SERVICE=trip, which names the file.")
    folder = Path(environ.get("TO") or FOLDER)
    for service in services:
        file = backup(_target(service, environ), service, folder, datetime.now(UTC))
        print(f"{file}  {file.stat().st_size} bytes")
    return 0


def _restore(environ: Mapping[str, str]) -> int:
    service = _service(environ)
    if not environ.get("FROM"):
        raise LocalError(f"FROM is not set: make restore SERVICE={short(service)} FROM=file")
    target, file = _target(service, environ), Path(environ["FROM"])
    if not file.name.startswith(f"{service}-"):
        raise LocalError(f"{file.name} is no backup of {service}, whose files begin with its name.")
    restore(target, file)
    print(f"Restored {file} into {target}.")
    return 0


def _psql(environ: Mapping[str, str]) -> int:
    if environ.get("SERVICE") == "admin":
        url = Layout.of(environ).read_environment().get("ADMIN_DATABASE_URL")
        if not url:
            raise LocalError("There is no private PostgreSQL running: make up starts one.")
        target = _renamed(Target.of(url, "ADMIN_DATABASE_URL"), environ)
    else:
        target = _target(_service(environ, " or admin"), environ)
    command = ["--command", environ["SQL"]] if environ.get("SQL") else []
    return programs.become("psql", target, "--no-psqlrc", "--set=ON_ERROR_STOP=1", *command)


def _service(environ: Mapping[str, str], more: str = "") -> str:
    name = environ.get("SERVICE", "")
    service = name if name in WITH_DATABASE else f"{name}_service"
    if service not in WITH_DATABASE:
        raise LocalError(f"SERVICE must be {' or '.join(map(short, WITH_DATABASE))}{more}, not {name!r}.")
    return service


def _target(service: str, environ: Mapping[str, str]) -> Target:
    """DATABASE_URL, else the service's own setting, else the running local stack's; DATABASE is another beside it."""
    own = f"{short(service).upper()}_DATABASE_URL"
    for name, url in (
        ("DATABASE_URL", environ.get("DATABASE_URL")),
        (own, environ.get(own)),
        (own, Layout.of(environ).read_environment().get(own)),
    ):
        if url:
            return _renamed(Target.of(url, name), environ)
    raise LocalError(f"No stack runs: start one with make up, or name the database with {own}.")


def _renamed(target: Target, environ: Mapping[str, str]) -> Target:
    return target.named(environ["DATABASE"]) if environ.get("DATABASE") else target


COMMANDS: dict[str, Callable[[Mapping[str, str]], int]] = {"backup": _backup, "restore": _restore, "psql": _psql}


def main(arguments: list[str]) -> int:
    """Command line; options come from the environment. Returns the exit code."""
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        print(f"usage: python -m infrastructure.backups {'|'.join(COMMANDS)}", file=sys.stderr)
        return 2
    try:
        return COMMANDS[arguments[0]](os.environ)
    except (LocalError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
