"""`make down`, `status`, `logs` and `clean`."""

import os
import shutil
import signal
import sys
from collections.abc import Mapping

from infrastructure.local import claim, composition, leftovers, readiness, stack, supervisor
from infrastructure.local.errors import LocalError
from infrastructure.local.layout import Layout
from infrastructure.local.parts import Parts
from infrastructure.local.program import PRIVATE_PARTS
from infrastructure.programs import MQTT_LOGIN
from infrastructure.selection import SERVICES, SUFFIX


def down(layout: Layout) -> int:
    """Stop the stack of this checkout, also one that was killed half-way; the exit code."""
    pid = claim.launcher(layout)
    if pid:
        print("Stopping ...", flush=True)
        os.kill(pid, signal.SIGTERM)
        if not claim.wait_unclaimed(layout, stack.STOP_LIMIT_S + 30):
            raise LocalError(f"The stack (pid {pid}) does not stop; its log: {layout.log('stack')}")
    ended = leftovers.end_leftovers(layout) if layout.pids.exists() else []
    if layout.folder.exists():
        stack.forget(layout)
    print("Stopped; no process is left." if pid or ended else "No stack of this checkout was running.")
    return 0


def status(layout: Layout) -> int:
    """Show the programs, the status addresses and how the services are; the exit code is 0 when all is well."""
    pid = claim.launcher(layout)
    if not pid:
        print("No stack of this checkout is running (make up starts one).")
        return 1
    for program in supervisor.states(layout):
        print(f"{program.name:19} {program.state:9} {program.description}")
    composed = composition.read(layout)
    if composed is None or not layout.environment.exists():
        print(f"The stack (pid {pid}) is starting or stopping.")
        return 1
    for name, urls in composed.metrics_urls().items():
        print(f"{name:19} {urls}")
    parts = Parts(layout)
    if mqtt_address := parts.mqtt_address(composed):
        print(f"{'MQTT':19} {mqtt_address}")
    found = readiness.look(composed.selection.services, composed.settings.gateway_url, parts.amqp_uri(composed))
    print(found.text)
    return 0 if found.ready else 1


def logs(layout: Layout, environ: Mapping[str, str]) -> int:
    """Follow all logs, or that of SERVICE. Does not return but by an error."""
    name = environ.get("SERVICE", "")
    if name + SUFFIX in SERVICES:
        name += SUFFIX
    known = [*SERVICES, MQTT_LOGIN, *PRIVATE_PARTS, "supervisord"]
    if name and name not in known:
        raise LocalError(f"SERVICE must be one of {', '.join(known)}, not {name!r}.")
    files = [file for each in ([name] if name else known) for file in layout.logs_of(each)]
    if not files:
        raise LocalError("There are no logs yet: make up starts the stack.")
    os.execvp("tail", ["tail", "-n", "20", "-F", *map(str, files)])


def clean(layout: Layout, environ: Mapping[str, str]) -> int:
    """Remove .local with all data, after asking unless FORCE is set; the exit code."""
    if not layout.folder.exists():
        print("There is nothing to remove.")
        return 0
    if environ.get("FORCE") not in ("1", "yes", "true"):
        if not sys.stdin.isatty():
            raise LocalError(f"This removes {layout.folder} with all bikes and trips. To do it: make clean FORCE=1")
        if input(f"Remove {layout.folder} with all bikes and trips? [y/N] ").strip().lower() not in ("y", "yes"):
            print("Nothing was removed.")
            return 1
    if claim.launcher(layout) or layout.pids.exists():
        down(layout)
    if layout.socket.parent != layout.folder:
        shutil.rmtree(layout.socket.parent, ignore_errors=True)
    shutil.rmtree(layout.folder)
    print(f"Removed {layout.folder}.")
    return 0
