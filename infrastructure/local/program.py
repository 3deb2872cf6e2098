"""Become one program of the stack: `python -m infrastructure.local.program NAME`, as supervisord.conf has it.

It gets its stop signal when supervisord dies, and its pid is recorded under the process's name, so that a stack that
was killed leaves nothing behind.
"""

import os
import signal
import sys
from collections.abc import Callable

from infrastructure.local import files, leash
from infrastructure.local.layout import Layout
from infrastructure.local.postgres import Postgres
from infrastructure.local.rabbitmq import RabbitMQ
from infrastructure.selection import SERVICES

Program = tuple[list[str], dict[str, str]]


def postgres(layout: Layout) -> Program:
    server = Postgres(layout.postgres)
    return server.command, server.environment


def epmd(layout: Layout) -> Program:
    broker = RabbitMQ(layout.rabbitmq)
    return broker.epmd_command, broker.environment


def rabbitmq(layout: Layout) -> Program:
    broker = RabbitMQ(layout.rabbitmq)
    return broker.command, broker.environment


PRIVATE_PARTS: dict[str, Callable[[Layout], Program]] = {"postgres": postgres, "epmd": epmd, "rabbitmq": rabbitmq}
STOP_SIGNALS = {"postgres": signal.SIGINT}


def service(layout: Layout, name: str) -> Program:
    given = files.read_json(layout.services_environment).get(name, {})
    return [sys.executable, "-m", "shared.run", name], {**os.environ, **given}


def stop_signal(name: str) -> signal.Signals:
    return STOP_SIGNALS.get(name, signal.SIGTERM)


def main(arguments: list[str]) -> None:
    if len(arguments) != 1 or arguments[0] not in (*PRIVATE_PARTS, *SERVICES):
        sys.exit(f"usage: python -m infrastructure.local.program {'|'.join((*PRIVATE_PARTS, *SERVICES))}")
    (name,) = arguments
    layout = Layout.of(os.environ)
    parent = os.getppid()
    leash.die_with_parent(stop_signal(name))
    if os.getppid() != parent:
        sys.exit("supervisord ended")
    leash.record(layout.pids / os.environ.get("SUPERVISOR_PROCESS_NAME", name))
    command, environment = PRIVATE_PARTS[name](layout) if name in PRIVATE_PARTS else service(layout, name)
    os.execvpe(command[0], command, environment)


if __name__ == "__main__":
    main(sys.argv[1:])
