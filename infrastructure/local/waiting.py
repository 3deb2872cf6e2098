"""The wait until the chosen services are ready, or have plainly failed."""

import time
from collections.abc import Callable

from infrastructure.local import claim, readiness, supervisor
from infrastructure.local.composition import Composition
from infrastructure.local.errors import LocalError
from infrastructure.local.layout import Layout
from infrastructure.local.parts import Parts
from infrastructure.local.process import tail
from infrastructure.local.supervisor import ProgramState

Say = Callable[[str], None]
# with what stopping takes, `make up` fails within 120 s
READY_LIMIT_S = 100.0
TOO_MANY_STARTS = 3


def wait_ready(
    layout: Layout, parts: Parts, composition: Composition, is_running: Callable[[], bool], say: Say
) -> None:
    """Make the databases and the broker's users, wait until the services are ready, write stack.env.

    Raises LocalError with what failed. `is_running`: whether there is a supervisord to wait for.
    """
    started = time.monotonic()
    said, pids = set[str](), dict[str, set[int]]()
    has_databases = has_users = False
    while True:
        has_databases = has_databases or parts.make_databases(composition)
        has_users = has_users or parts.let_in(composition)
        states = supervisor.states(layout)
        found = _look(parts, composition, states)
        if found.ready:
            break
        for program in states:
            pids.setdefault(program.name, set()).add(program.pid)
        failing = [name for name, seen in pids.items() if len(seen - {0}) > TOO_MANY_STARTS]
        waited = time.monotonic() - started
        if failing or waited > READY_LIMIT_S or not is_running():
            raise LocalError(_failure(layout, failing or waits_for(composition, states), states, found, parts.refusal))
        if found.text not in said and waited > 3:
            say(f"  waiting: {found.text}")
            said.add(found.text)
        time.sleep(0.25)  # until the next look; READY_LIMIT_S bounds it
    layout.write_environment(parts.environment(composition))


def stack_runs(layout: Layout, launcher: str) -> bool:
    """Whether that launcher still holds the stack, and its supervisord answers."""
    return claim.launcher_mark(layout) == launcher and bool(supervisor.states(layout))


def waits_for(composition: Composition, states: list[ProgramState]) -> list[str]:
    """The programs that are not up: of the chosen services, and of the private parts that were started."""
    up = {program.name for program in states if program.state == "RUNNING"}
    started = [program.name for program in states]
    return [name for name in dict.fromkeys([*started, *composition.process_names()]) if name not in up]


def _look(parts: Parts, composition: Composition, states: list[ProgramState]) -> readiness.Readiness:
    missing = waits_for(composition, states)
    if missing:
        return readiness.Readiness(False, f"{', '.join(missing)} not up yet")
    return readiness.look(composition.selection.services, composition.settings.gateway_url, parts.amqp_uri(composition))


def _failure(
    layout: Layout, failing: list[str], states: list[ProgramState], found: readiness.Readiness, refusal: str
) -> str:
    if not states:
        return f"supervisord does not run:\n{tail(layout.log('supervisord.start'))}"
    logs = [f"--- {layout.log(name)}\n{tail(layout.log(name))}" for name in failing]
    named = f": {', '.join(failing)}" if failing else ""
    return "\n".join([f"The stack did not start{named}.", *logs, *filter(None, [refusal]), found.text])
