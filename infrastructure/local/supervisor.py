"""supervisord as a child process, and what it says of its programs."""

import os
import subprocess
import sys
import xmlrpc.client
from dataclasses import dataclass
from typing import Any, cast

from supervisor.xmlrpc import SupervisorTransport

from infrastructure.local.layout import ROOT, Layout
from infrastructure.local.process import leashed


@dataclass(frozen=True)
class ProgramState:
    """`state` is supervisord's word: RUNNING, STARTING, BACKOFF, STOPPED, ...; `pid` is 0 when there is none."""

    name: str
    state: str
    pid: int
    description: str


def start(layout: Layout, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start supervisord, which dies with this process; its messages go to its log."""
    command = [sys.executable, "-m", "supervisor.supervisord", "-n", "-s", "-c", str(ROOT / "supervisord.conf")]
    layout.socket.unlink(missing_ok=True)
    with layout.log("supervisord.start").open("wb") as output:
        return subprocess.Popen(
            leashed("SIGTERM", command, layout.pids / "supervisord"),
            cwd=ROOT,
            env={**os.environ, **environment, "SUPERVISOR_SOCKET": str(layout.socket)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C reaches the launcher only, which stops the stack in order
        )


def states(layout: Layout) -> list[ProgramState]:
    """Of all programs that are meant to run; none when supervisord does not answer (yet)."""
    transport = SupervisorTransport(serverurl=f"unix://{layout.socket}")
    proxy: Any = xmlrpc.client.ServerProxy("http://localhost", transport=transport)
    try:
        found = cast(list[dict[str, Any]], proxy.supervisor.getAllProcessInfo())
    except (OSError, xmlrpc.client.Error):
        return []
    finally:
        transport.close()
    return [
        ProgramState(info["name"], info["statename"], info["pid"], info["description"])
        for info in found
        if info["start"] or info["statename"] != "STOPPED"
    ]
