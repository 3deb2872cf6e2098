"""Services added to the running stack, and other numbers of processes: what `make up` does while a stack runs."""

import time
from collections.abc import Mapping
from dataclasses import replace

from infrastructure import selection as selections
from infrastructure.local import claim, composition, files, stack, supervisor, waiting
from infrastructure.local import settings as settings_module
from infrastructure.local.claim import AlreadyRuns
from infrastructure.local.composition import Composition
from infrastructure.local.errors import LocalError
from infrastructure.local.layout import Layout
from infrastructure.local.parts import Parts
from infrastructure.local.waiting import Say
from infrastructure.programs import GATEWAY
from infrastructure.selection import Selection, short

# As long as whoever starts or changes the stack now may take, and then some.
WAIT_LIMIT_S = waiting.READY_LIMIT_S + 30


def add(layout: Layout, environ: Mapping[str, str], say: Say) -> None:
    """Make the running stack hold the chosen services too. Raises AlreadyRuns when it does, LocalError."""
    until = time.monotonic() + WAIT_LIMIT_S
    while time.monotonic() < until:
        mark = claim.launcher_mark(layout)
        if not mark:
            raise LocalError("The stack of this checkout has just ended; start it again.")
        running = composition.read(layout)
        # what another launcher has left, killed, counts for nothing
        if running and running.launcher == mark:
            if not changed(running.selection, selections.wanted(running.selection, environ)):
                raise AlreadyRuns(layout)
            with claim.changing(layout, 0.5) as granted:
                running = composition.read(layout)
                if granted and running and running.launcher == mark and layout.environment.exists():
                    return _change(layout, environ, running, say)
        time.sleep(0.1)  # until the next look: another process ends this wait; WAIT_LIMIT_S bounds it
    raise LocalError(f"The stack of this checkout is being started or changed for longer than {WAIT_LIMIT_S:.0f} s.")


def changed(before: Selection, after: Selection) -> list[str]:
    """The services that are new, or get another number of processes."""
    return [name for name, number in after.processes.items() if before.processes.get(name) != number]


def _change(layout: Layout, environ: Mapping[str, str], running: Composition, say: Say) -> None:
    after = selections.wanted(running.selection, environ)
    names = changed(running.selection, after)
    if not names:
        raise AlreadyRuns(layout)
    settings = settings_module.merged(running.settings, running.selection.services, environ)
    if GATEWAY not in running.selection.services and GATEWAY in names:
        settings_module.check_address_free(settings)
    kept = {name: port for name, port in running.status_ports.items() if name not in names}
    then = replace(
        running,
        selection=after,
        settings=settings,
        status_ports=composition.choose_ports(layout, after, kept, names),
    )
    if then.private_databases() and supervisor.is_up(layout, "postgres"):
        Parts(layout).check_room(then)
    before = files.read_json(layout.services_environment)
    try:
        _run(layout, then, names, settings_module.of_services(environ), say)
    except BaseException:  # also Ctrl-C, and raised again
        say("Going back to what ran before ...")
        stack.write_programs(layout, running)
        files.write_json(layout.services_environment, before)
        if claim.launcher_mark(layout) == running.launcher:
            supervisor.apply(layout)
        raise
    composition.write(layout, then)
    say(_summary(layout, running.selection, then, names))


def _run(layout: Layout, then: Composition, names: list[str], given: dict[str, str], say: Say) -> None:
    parts = Parts(layout)
    if then.private_databases() and not supervisor.is_up(layout, "postgres"):
        say("Preparing PostgreSQL ...")
        parts.prepare_postgres(then)
        supervisor.start_program(layout, "postgres")
    say(f"Starting {', '.join(names)} ...")
    stack.write_programs(layout, then)
    stack.write_environments(layout, parts, then, names, given)
    supervisor.apply(layout)
    waiting.wait_ready(layout, parts, then, lambda: waiting.stack_runs(layout, then.launcher), say)


def _summary(layout: Layout, before: Selection, then: Composition, names: list[str]) -> str:
    done = []
    for name in names:
        number = then.selection.processes[name]
        verb = "has" if name in before.services else "was added with"
        where = f" at {then.settings.gateway_url}" if name == GATEWAY else ""
        done.append(f"{short(name)} {verb} {number} process{'es' if number > 1 else ''}{where}")
    return f"In the running stack (pid {claim.launcher(layout)}): {'; '.join(done)}."
