"""A clean slate for one service of the local stack: its database made anew, its queues deleted."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from infrastructure.local import claim, composition, supervisor, waiting
from infrastructure.local.composition import Composition
from infrastructure.local.errors import LocalError
from infrastructure.local.layout import Layout
from infrastructure.local.migrations import service_of
from infrastructure.local.parts import Parts
from infrastructure.local.postgres import Postgres
from infrastructure.local.rabbitmq import RabbitMQ
from infrastructure.local.stack import CHANGE_LIMIT_S
from infrastructure.selection import WITH_DATABASE
from shared.amqp import connection
from shared.positions import TOPOLOGY
from shared.topology import declare

PART_LIMIT_S = 60


def is_of(service: str, queue: str) -> bool:
    """Whether the queue is one of the service's: its positions, its events, its calls, and their dead letters."""
    owner = queue.split("--", 1)[1] if queue.startswith("evt-") and "--" in queue else queue
    return owner.startswith((f"{service}.", f"rpc-{service}", f"rpc.reply-{service}-"))


def clean_service(layout: Layout, environ: Mapping[str, str]) -> int:
    """Make SERVICE's slate clean, after asking unless FORCE is set; the exit code.

    A service that runs is stopped meanwhile and started again. Broker and database are the private ones only: what a
    setting names is somebody's, and not deleted. Raises LocalError.
    """
    service = service_of(environ)
    if not layout.folder.exists():
        print("There is nothing to remove.")
        return 0
    what = f"the {'database and ' if service in WITH_DATABASE else ''}queues of {service} in {layout.folder}"
    if environ.get("FORCE") not in ("1", "yes", "true"):
        if not sys.stdin.isatty():
            raise LocalError(f"This removes {what}. To do it: make clean FORCE=1")
        if input(f"Remove {what}? [y/N] ").strip().lower() not in ("y", "yes"):
            print("Nothing was removed.")
            return 1
    mark = claim.launcher_mark(layout)
    with _of_running(layout, mark, service) if mark else _of_stopped(layout) as (postgres, rabbitmq):
        if postgres and service in WITH_DATABASE:
            postgres.drop_database(service)
            postgres.create_database(service)
        if rabbitmq:
            remove_queues(rabbitmq, service)
    print(f"Removed {what}.")
    return 0


def remove_queues(rabbitmq: RabbitMQ, service: str) -> None:
    """Delete the service's queues with all that they hold, and make those of positions anew."""
    for name in filter(partial(is_of, service), rabbitmq.queues()):
        rabbitmq.delete_queue(name)
    # A gateway that runs declared them when it started, and goes on accepting positions for all who consume them.
    with connection(rabbitmq.url) as broker:
        declare(broker, [queue for queue in TOPOLOGY if is_of(service, queue.name)])


Found = tuple[Postgres | None, RabbitMQ | None]


@contextmanager
def _of_running(layout: Layout, mark: str, service: str) -> Iterator[Found]:
    with claim.changing(layout, CHANGE_LIMIT_S) as granted:
        running = composition.read(layout)
        if not (granted and running and running.launcher == mark and layout.environment.exists()):
            raise LocalError("The stack is starting, changing or stopping; try again when it is not.")
        _refuse_others(running, service)
        runs = service in running.selection.services
        if runs:
            supervisor.stop_group(layout, service)
        try:
            has_postgres = supervisor.is_up(layout, "postgres")
            yield (
                Postgres(layout.postgres) if has_postgres else None,
                RabbitMQ(layout.rabbitmq) if running.settings.private_rabbitmq else None,
            )
        finally:
            if runs:
                supervisor.start_group(layout, service)
        if runs:
            print(f"Starting {service} ...", flush=True)
            waiting.wait_ready(layout, Parts(layout), running, lambda: waiting.stack_runs(layout, mark), print)


def _refuse_others(running: Composition, service: str) -> None:
    if service in WITH_DATABASE and running.settings.database_url(service):
        raise LocalError(f"{service} runs on a database that a setting names: only a private one is removed.")


@contextmanager
def _of_stopped(layout: Layout) -> Iterator[Found]:
    with claim.claimed(layout):
        postgres = Postgres(layout.postgres) if layout.postgres.exists() else None
        rabbitmq = RabbitMQ(layout.rabbitmq) if layout.rabbitmq.exists() else None
        parts: list[Postgres | RabbitMQ] = [part for part in (postgres, rabbitmq) if part]
        try:
            for part in parts:
                part.prepare()
                part.start()
            for part in parts:
                part.wait_ready(PART_LIMIT_S)
            yield postgres, rabbitmq
        finally:
            for part in reversed(parts):
                part.stop()
