"""Become one program of the stack: `python -m infrastructure.local.program NAME`, as supervisord.conf has it.

It gets its stop signal when supervisord dies, and its pid is recorded under the process's name, so that a stack that
was killed leaves nothing behind.
"""

import os
import signal
import sys
from collections.abc import Callable

from infrastructure import programs
from infrastructure.local import files, leash
from infrastructure.local.layout import Layout
from infrastructure.local.postgres import Postgres
from infrastructure.local.rabbitmq import VHOST, RabbitMQ
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


def mqtt_login(layout: Layout) -> Program:
    """It verifies tokens as the gateway does, and is no user of the broker."""
    given = files.read_json(layout.services_environment).get(programs.GATEWAY, {})
    own = {"MQTT_LOGIN_ADDRESS": RabbitMQ(layout.rabbitmq).mqtt_login_address, "MQTT_VHOST": VHOST}
    environment = {**os.environ, **given, **own}
    for name in ("AMQP_URI", "METRICS_ADDRESS"):
        environment.pop(name, None)
    return [sys.executable, "-m", "shared.mqtt_login"], environment


def stop_signal(name: str) -> signal.Signals:
    return STOP_SIGNALS.get(name, signal.SIGTERM)


def main(arguments: list[str]) -> None:
    known = (*PRIVATE_PARTS, *SERVICES, programs.MQTT_LOGIN)
    if len(arguments) != 1 or arguments[0] not in known:
        sys.exit(f"usage: python -m infrastructure.local.program {'|'.join(known)}")
    (name,) = arguments
    layout = Layout.of(os.environ)
    parent = os.getppid()
    leash.die_with_parent(stop_signal(name))
    if os.getppid() != parent:
        sys.exit("supervisord ended")
    leash.record(layout.pids / os.environ.get("SUPERVISOR_PROCESS_NAME", name))
    others = {**PRIVATE_PARTS, programs.MQTT_LOGIN: mqtt_login}
    command, environment = others[name](layout) if name in others else service(layout, name)
    os.execvpe(command[0], command, environment)


if __name__ == "__main__":
    main(sys.argv[1:])
