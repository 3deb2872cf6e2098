"""The stack of a checkout from its launcher's side: private parts, supervisord, the wait, the end."""

import subprocess
from collections.abc import Iterable

from infrastructure import programs
from infrastructure.local import claim, composition, files, leftovers, supervisor, waiting
from infrastructure.local import settings as settings_module
from infrastructure.local.composition import Composition
from infrastructure.local.errors import LocalError
from infrastructure.local.layout import Layout
from infrastructure.local.parts import Parts
from infrastructure.local.settings import Settings
from infrastructure.local.waiting import Say
from infrastructure.selection import Selection, SelectionError

STOP_LIMIT_S = 120.0
# A command that changes the stack notices within this that supervisord has gone.
CHANGE_LIMIT_S = 15.0
COMMAND = (".venv/bin/python", "-m", "infrastructure.local.program")
LOG_FOLDER = "%(ENV_SUPERVISOR_FOLDER)s/log"


class Stack:
    """`start`, then `wait`; `stop` whatever happened, which leaves no process."""

    def __init__(self, layout: Layout, settings: Settings, selection: Selection, say: Say):
        self.layout = layout
        self.settings = settings
        self.selection = selection
        self.say = say
        self._supervisord: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """End leftovers, see that the address is free, start all and wait until it is ready. Raises LocalError."""
        with claim.changing(self.layout, CHANGE_LIMIT_S) as granted:
            if not granted:
                raise LocalError("Another command still changes the stack that ran here before; try again.")
            self._start()

    def _start(self) -> None:
        ended = leftovers.end_leftovers(self.layout)
        if ended:
            self.say(f"Ended what an earlier stack had left: {', '.join(ended)}.")
        # What a launcher that was killed had written counts for nothing.
        for path in (self.layout.environment, self.layout.services_environment):
            path.unlink(missing_ok=True)
        if programs.GATEWAY in self.selection.services:
            settings_module.check_address_free(self.settings)
        ports = composition.choose_ports(self.layout, self.selection, {}, self.selection.services)
        composed = Composition(claim.launcher_mark(self.layout), self.selection, self.settings, ports)
        composition.write(self.layout, composed)
        parts = Parts(self.layout)
        private_postgres = bool(composed.private_databases())
        if private_postgres:
            self.say("Preparing PostgreSQL ...")
            parts.prepare_postgres(composed)
        if self.settings.private_rabbitmq:
            self.say("Preparing RabbitMQ ...")
            parts.prepare_rabbitmq()
        self.say("Starting the services ...")
        write_programs(self.layout, composed)
        write_environments(self.layout, parts, composed, self.selection.services, {})
        self._supervisord = supervisor.start(self.layout, private_postgres, self.settings.private_rabbitmq)
        waiting.wait_ready(self.layout, parts, composed, self.is_running, self.say)

    def is_running(self) -> bool:
        return self._supervisord is not None and self._supervisord.poll() is None

    def wait(self) -> None:
        """Until supervisord ends, which it does when it is stopped or killed."""
        if self._supervisord:
            self._supervisord.wait()

    def stop(self) -> bool:
        """Stop what runs, in order; whether anything was started. Raises LocalError if something does not end."""
        if self._supervisord:
            self._supervisord.terminate()
            try:
                self._supervisord.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._supervisord.kill()
                self._supervisord.wait()
        with claim.changing(self.layout, CHANGE_LIMIT_S):
            forget(self.layout)
            leftovers.end_leftovers(self.layout)
        return self._supervisord is not None


def write_programs(layout: Layout, composed: Composition) -> None:
    """Render the services' programs for supervisord. Raises LocalError."""
    target = programs.Target(
        COMMAND,
        LOG_FOLDER,
        composed.settings.gateway_address,
        composed.status_addresses,
        mqtt=Parts(layout).mqtt_address(composed) is not None,
    )
    try:
        files.write_private(layout.programs, programs.render(composed.selection, target))
    except SelectionError as error:
        raise LocalError(str(error)) from None


def write_environments(
    layout: Layout, parts: Parts, composed: Composition, services: Iterable[str], given: dict[str, str]
) -> None:
    """Write down what the processes of `services` get, `given` over what they have; the others' stays as it is."""
    kept = files.read_json(layout.services_environment)
    new = {name: {**kept.get(name, {}), **given, **parts.service_environment(composed, name)} for name in services}
    files.write_json(layout.services_environment, {**kept, **new})


def forget(layout: Layout) -> None:
    """Remove what says that a stack runs, and what only its processes had to know."""
    for path in (layout.environment, layout.composition, layout.services_environment, layout.socket):
        path.unlink(missing_ok=True)
