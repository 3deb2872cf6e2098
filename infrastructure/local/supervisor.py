"""supervisord as a child process, and what it says of its programs."""

import contextlib
import os
import re
import subprocess
import sys
import xmlrpc.client
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from supervisor.xmlrpc import SupervisorTransport

from infrastructure.local.errors import LocalError
from infrastructure.local.layout import ROOT, Layout
from infrastructure.local.process import leashed


@dataclass(frozen=True)
class ProgramState:
    """`state` is supervisord's word: RUNNING, STARTING, BACKOFF, STOPPED, ...; `pid` is 0 when there is none."""

    name: str
    state: str
    pid: int
    description: str


def start(layout: Layout, private_postgres: bool, private_rabbitmq: bool) -> subprocess.Popen[bytes]:
    """Start supervisord, which dies with this process; its messages go to its log."""
    environment = {
        "BIKE_COMPANY_HOME": str(layout.folder),
        "PRIVATE_POSTGRES": str(private_postgres).lower(),
        "PRIVATE_RABBITMQ": str(private_rabbitmq).lower(),
        "SUPERVISOR_FOLDER": str(layout.folder),
        # a list of patterns, parted by blanks
        "SUPERVISOR_PROGRAMS": re.sub(r"[\s*?\[\]]", "?", str(layout.programs)),
        "SUPERVISOR_SOCKET": str(layout.socket),
    }
    command = [sys.executable, "-m", "supervisor.supervisord", "-n", "-s", "-c", str(ROOT / "supervisord.conf")]
    layout.socket.unlink(missing_ok=True)
    with layout.log("supervisord.start").open("wb") as output:
        return subprocess.Popen(
            leashed("SIGTERM", command, layout.pids / "supervisord"),
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C reaches the launcher only, which stops the stack in order
        )


def states(layout: Layout) -> list[ProgramState]:
    """Of all programs that are meant to run; none when supervisord does not answer (yet)."""
    try:
        with _connected(layout) as remote:
            found = cast(list[dict[str, Any]], remote.getAllProcessInfo())
    except (OSError, xmlrpc.client.Error):
        return []
    return [
        ProgramState(info["name"], info["statename"], info["pid"], info["description"])
        for info in found
        if info["start"] or info["statename"] != "STOPPED"
    ]


def is_up(layout: Layout, name: str) -> bool:
    return any(program.name == name and program.pid for program in states(layout))


def start_program(layout: Layout, name: str) -> None:
    """Start a program that does not run. Raises LocalError."""
    with _commanded(layout) as remote:
        remote.startProcess(name, False)


def stop_group(layout: Layout, name: str) -> None:
    """Stop the processes of a program, and wait for them. Raises LocalError."""
    with _commanded(layout) as remote:
        remote.stopProcessGroup(name)


def start_group(layout: Layout, name: str) -> None:
    """Start the processes of a program again. Raises LocalError."""
    with _commanded(layout) as remote:
        remote.startProcessGroup(name, False)


def apply(layout: Layout) -> None:
    """Have supervisord run what its configuration says by now: new and changed programs start. Raises LocalError."""
    with _commanded(layout) as remote:
        [[added, changed, removed]] = cast(list[list[list[str]]], remote.reloadConfig())
        for name in [*changed, *removed]:
            remote.stopProcessGroup(name)
            remote.removeProcessGroup(name)
        for name in [*added, *changed]:
            remote.addProcessGroup(name)


@contextlib.contextmanager
def _connected(layout: Layout) -> Iterator[Any]:
    transport = SupervisorTransport(serverurl=f"unix://{layout.socket}")
    try:
        yield xmlrpc.client.ServerProxy("http://localhost", transport=transport).supervisor
    finally:
        transport.close()


@contextlib.contextmanager
def _commanded(layout: Layout) -> Iterator[Any]:
    try:
        with _connected(layout) as remote:
            yield remote
    except (OSError, xmlrpc.client.Error) as error:
        reason = getattr(error, "faultString", None) or str(error) or type(error).__name__
        raise LocalError(f"supervisord refused ({reason}); its log is {layout.log('supervisord')}") from None
