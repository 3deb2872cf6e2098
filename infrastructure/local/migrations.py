"""`make migrate` and `make migration` of one service."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory

from infrastructure.local import settings
from infrastructure.local.errors import LocalError
from infrastructure.local.layout import ROOT, Layout
from infrastructure.selection import SERVICES, SUFFIX, WITH_DATABASE, short
from shared import migrate as migrating


def service_of(environ: Mapping[str, str]) -> str:
    """SERVICE of the environment, in full. Raises LocalError."""
    name = environ.get("SERVICE", "")
    full = name if name.endswith(SUFFIX) else name + SUFFIX
    if full not in SERVICES:
        raise LocalError(f"SERVICE must be one of {', '.join(map(short, SERVICES))}, not {name!r}.")
    return full


def migrate(layout: Layout, environ: Mapping[str, str]) -> int:
    """Bring the service's database to the newest revision: the one that is given, or the running stack's."""
    service = with_database(environ)
    variable = settings.database_variable(service)
    found = {**layout.read_environment(), **{name: value for name, value in environ.items() if value}}
    if variable not in found:
        raise LocalError(f"No stack with {service} runs: start one with make up, or name a database with {variable}.")
    arguments = [sys.executable, "-m", "shared.migrate", service]
    code = subprocess.run(arguments, cwd=ROOT, env=found, check=False).returncode
    if code == 0:
        print(f"The database of {service} is at the newest revision.")
    return code


def migration(layout: Layout, environ: Mapping[str, str]) -> int:
    """Write an empty revision, numbered after the last one and named by NAME; `layout` is as for its sisters."""
    service = with_database(environ)
    words = re.sub(r"[\s-]+", "_", environ.get("NAME", "").strip())
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,38}", words):
        raise LocalError("NAME says in small letters what changes: make migration NAME=tyre_pressure")
    print(f"Wrote {write_revision(service, words)}; make migrate runs it.")
    return 0


def write_revision(service: str, name: str, folder: Path | None = None) -> Path:
    """The new file; `folder` has the service's migrations when they are not in the service itself."""
    config = migrating.alembic_config(service, "")
    if folder:
        config.set_main_option("script_location", str(folder))
    scripts = ScriptDirectory.from_config(config)
    numbers = [int(script.revision) for script in scripts.walk_revisions()]
    message = name.replace("_", " ").capitalize() + "."
    revision = command.revision(config, message, rev_id=f"{max(numbers, default=0) + 1:04d}")
    assert revision is not None
    assert not isinstance(revision, list)
    written = Path(revision.path)
    return written.rename(written.with_name(f"{revision.revision}_{name}.py"))


def with_database(environ: Mapping[str, str]) -> str:
    """SERVICE, which must be one that keeps data. Raises LocalError."""
    service = service_of(environ)
    if service not in WITH_DATABASE:
        raise LocalError(f"{service} has no database.")
    return service
