"""The running stack of a checkout: private parts, supervisord, and the wait until the gateway says that all is well."""

import contextlib
import fcntl
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import IO

from infrastructure.local import leash, leftovers, loopback, supervisor
from infrastructure.local import settings as settings_module
from infrastructure.local.errors import LocalError
from infrastructure.local.layout import Layout
from infrastructure.local.postgres import Postgres
from infrastructure.local.process import tail
from infrastructure.local.rabbitmq import RabbitMQ
from infrastructure.local.settings import Settings

Say = Callable[[str], None]
DATABASES = ("bike_service", "trip_service")
# with what stopping takes, `make up` fails within 120 s
READY_LIMIT_S = 100.0
STOP_LIMIT_S = 120.0
TOO_MANY_STARTS = 3


class Stack:
    """`prepare`, `start`, `wait_ready`, then `wait`; `stop` whatever happened, which leaves no process."""

    def __init__(self, layout: Layout, settings: Settings, say: Say):
        self.layout = layout
        self.settings = settings
        self.say = say
        self._postgres = Postgres(layout.postgres)
        self._rabbitmq = RabbitMQ(layout.rabbitmq)
        self._supervisord: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """End leftovers, see that the address is free, make what the private parts need. Raises LocalError."""
        ended = leftovers.end_leftovers(self.layout)
        if ended:
            self.say(f"Ended what an earlier stack had left: {', '.join(ended)}.")
        self.layout.environment.unlink(missing_ok=True)
        settings_module.check_address_free(self.settings)
        if self.settings.private_postgres:
            self.say("Preparing PostgreSQL ...")
            self._postgres.prepare(DATABASES)
        if self.settings.private_rabbitmq:
            self.say("Preparing RabbitMQ ...")
            self._rabbitmq.prepare()

    def environment(self) -> dict[str, str]:
        """What stack.env holds."""
        settings = self.settings
        variables = {
            "GATEWAY_URL": settings.gateway_url,
            "AMQP_URI": settings.amqp_uri or self._rabbitmq.url,
            "BIKE_DATABASE_URL": settings.bike_database_url or self._postgres.url("bike_service", "bike_service"),
            "TRIP_DATABASE_URL": settings.trip_database_url or self._postgres.url("trip_service", "trip_service"),
        }
        if settings.private_postgres:
            variables["ADMIN_DATABASE_URL"] = self._postgres.admin_url
        variables["JWT_SECRET"] = settings.jwt_secret or settings_module.own_secret(self.layout.secret)
        return variables

    def start(self) -> None:
        """Start supervisord with all programs."""
        self.say("Starting the services ...")
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        variables = {
            **self.environment(),
            "GATEWAY_ADDRESS": f"{host}:{self.settings.port}",
            "PRIVATE_POSTGRES": str(self.settings.private_postgres).lower(),
            "PRIVATE_RABBITMQ": str(self.settings.private_rabbitmq).lower(),
        }
        self._supervisord = supervisor.start(self.layout, variables)

    def wait_ready(self, limit_s: float = READY_LIMIT_S) -> None:
        """Make the databases, wait until `/health` is 200, write stack.env. Raises LocalError with what failed."""
        started = time.monotonic()
        deadline, said = started + limit_s, set[str]()
        databases_wanted = self.settings.private_postgres
        pids: dict[str, set[int]] = {}
        while True:
            if databases_wanted and self._postgres.is_ready():
                databases_wanted = False
                for name in DATABASES:
                    self._postgres.create_database(name)
            health = loopback.health(self.settings.gateway_url)
            if health.ok:
                break
            states = supervisor.states(self.layout)
            for program in states:
                pids.setdefault(program.name, set()).add(program.pid)
            failing = [name for name, seen in pids.items() if len(seen - {0}) > TOO_MANY_STARTS]
            if failing or time.monotonic() > deadline or not self.is_running():
                raise LocalError(self._failure(failing, states, health))
            waiting = _waiting_for(health, states)
            if waiting not in said and time.monotonic() > started + 3:
                self.say(f"  waiting: {waiting}")
                said.add(waiting)
            time.sleep(0.25)
        self.layout.write_environment(self.environment())

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
        self.layout.environment.unlink(missing_ok=True)
        leftovers.end_leftovers(self.layout)
        self.layout.socket.unlink(missing_ok=True)
        return self._supervisord is not None

    def _failure(self, failing: list[str], states: list[supervisor.ProgramState], health: loopback.Health) -> str:
        if not states:
            return f"supervisord does not run:\n{tail(self.layout.log('supervisord.start'))}"
        failing = failing or [program.name for program in states if program.state != "RUNNING"]
        failing = failing or ["bike_service", "trip_service", "gateway_service"]
        logs = [f"--- {self.layout.log(name)}\n{tail(self.layout.log(name))}" for name in failing]
        return "\n".join([f"The stack did not start: {', '.join(failing)}.", *logs, f"/health: {health.text}"])


def _waiting_for(health: loopback.Health, states: list[supervisor.ProgramState]) -> str:
    starting = [program.name for program in states if program.state != "RUNNING"]
    return f"{', '.join(starting)} not up yet" if starting else f"/health: {health.text}"


@contextlib.contextmanager
def claimed(layout: Layout) -> Iterator[None]:
    """Hold the checkout's stack, as its launcher. Raises LocalError when another process does."""
    layout.make()
    with layout.lock.open("a+") as file:
        # for a moment, because `status` and its like hold the lock while they see whether it is free
        if not _lock_within(file, 0.3):
            url = layout.read_environment().get("GATEWAY_URL", "starting or stopping")
            raise LocalError(
                f"The stack of this checkout runs already (pid {launcher(layout)}, {url}).\n"
                "make status shows it, make down stops it."
            )
        file.truncate(0)
        file.write(f"{os.getpid()} {leash.start_mark(os.getpid())}\n")
        file.flush()
        yield
        file.truncate(0)


def launcher(layout: Layout) -> int | None:
    """The pid of the process that holds the checkout's stack; None when there is none."""
    try:
        with layout.lock.open("r") as file:
            if _try_lock(file):
                return None
    except FileNotFoundError:
        return None
    return leftovers.alive(layout.lock)


def wait_unclaimed(layout: Layout, limit_s: float) -> bool:
    """Whether the launcher has ended within the time."""
    with layout.lock.open("r") as file:
        return _lock_within(file, limit_s)


def _lock_within(file: IO[str], limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while not _try_lock(file):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
