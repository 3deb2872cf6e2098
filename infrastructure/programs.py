"""The services as programs of supervisord: `python -m infrastructure.programs [FILE]` writes those of SERVICES.

For a container: the processes run `python -m shared.run`, log to supervisord's own standard output, and share the
address GATEWAY_ADDRESS when PROCESSES asks for several gateways. With METRICS_ADDRESS (host:port) each process has a
port of its own, counted from there in the order bike, trip, gateway.
"""

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mako.template import Template

from infrastructure import selection as selections
from infrastructure.selection import Selection, SelectionError

TEMPLATE = Path(__file__).with_name("supervisord.programs.conf.mako")
GATEWAY = "gateway_service"
# What the broker asks about bikes on MQTT (shared.mqtt_login): it goes with the gateway, by whose tokens it judges.
MQTT_LOGIN = "mqtt_login"
DEFAULT_ADDRESS = "127.0.0.1:8000"
# Infrastructure comes before, at 10 and 20.
PRIORITIES = {"bike_service": 30, "trip_service": 40, MQTT_LOGIN: 45, GATEWAY: 50}
ADDRESS = re.compile(r"([A-Za-z0-9.-]+):(\d{1,5})")


@dataclass(frozen=True)
class Target:
    """Where the programs will run.

    `command`: what goes before a service's name; `log_folder`: None for supervisord's standard output, else a folder
    as supervisord's configuration spells it; `metrics`: service to the address of its first process; `mqtt`: whether
    its broker offers MQTT.
    """

    command: Sequence[str]
    log_folder: str | None = None
    gateway_address: str = DEFAULT_ADDRESS
    metrics: Mapping[str, str] | None = None
    mqtt: bool = False


@dataclass(frozen=True)
class Program:
    """One section of the rendering, each value as supervisord's configuration spells it."""

    section: str
    command: str
    processes: int
    process_name: str
    environment: str
    priority: int
    socket: str | None
    log: str | None


def render(selection: Selection, target: Target) -> str:
    """The configuration of the services' programs. Raises SelectionError for an address that cannot be shared."""
    programs = [_program(name, number, target) for name, number in selection.processes.items()]
    if target.mqtt and GATEWAY in selection.services:
        programs.insert(-1, _program(MQTT_LOGIN, 1, target))
    template = Template(filename=str(TEMPLATE))  # noqa: S702 (no HTML)
    return str(template.render(programs=programs, template=TEMPLATE.name))


def process_names(service: str, processes: int) -> list[str]:
    """What supervisord calls the processes: numbered when there are several."""
    return [service] if processes == 1 else [f"{service}_{number}" for number in range(processes)]


def quoted(arguments: Sequence[str]) -> str:
    """A command line as supervisord reads it: expanded (%), cut at a comment (# or ;), then split like a shell's."""
    line = shlex.join(arguments).replace("%", "%%")
    # a comment begins after a blank only, so that a quote before it will do
    return re.sub(r"(?<=\s)([#;])", r"""'"\1"'""", line)


def consecutive(selection: Selection, address: str) -> dict[str, str]:
    """Service to the first of its addresses, one port for each process from `address` on."""
    host, port = _host_and_port(address, "METRICS_ADDRESS")
    addresses = {}
    for name, number in selection.processes.items():
        addresses[name] = f"{host}:{port}"
        port += number
    return addresses


def _program(name: str, processes: int, target: Target) -> Program:
    process_name = "%(program_name)s" if processes == 1 else "%(program_name)s_%(process_num)d"
    shares = name == GATEWAY and processes > 1
    environment = {"PROCESS_NUMBER": "%(process_num)d"}
    if target.metrics and name in target.metrics:
        environment["METRICS_ADDRESS"] = target.metrics[name]
    if shares:
        environment["GATEWAY_SOCKET_FD"] = "0"
    return Program(
        section=f"{'fcgi-program' if shares else 'program'}:{name}",
        command=quoted([*target.command, name]),
        processes=processes,
        process_name=process_name,
        environment=",".join(f'{variable}="{value}"' for variable, value in environment.items()),
        priority=PRIORITIES[name],
        socket="tcp://{}:{}".format(*_host_and_port(target.gateway_address, "GATEWAY_ADDRESS")) if shares else None,
        log=f"{target.log_folder}/{process_name}.log" if target.log_folder else None,
    )


def _host_and_port(address: str, setting: str) -> tuple[str, int]:
    match = ADDRESS.fullmatch(address)
    if match is None or not 1 <= int(match[2]) <= 65535:
        raise SelectionError(f"{setting} must be host:port with an IPv4 address or a name, not {address!r}.")
    return match[1], int(match[2])


def main(arguments: list[str]) -> int:
    """Command line; returns the exit code."""
    if len(arguments) > 1 or any(each.startswith("-") for each in arguments):
        print("usage: python -m infrastructure.programs [FILE]", file=sys.stderr)
        return 2
    try:
        selection = selections.read(os.environ)
        metrics = os.environ.get("METRICS_ADDRESS", "").strip()
        target = Target(
            command=[sys.executable, "-m", "shared.run"],
            gateway_address=os.environ.get("GATEWAY_ADDRESS", "").strip() or DEFAULT_ADDRESS,
            metrics=consecutive(selection, metrics) if metrics else None,
        )
        rendered = render(selection, target)
        if arguments:
            Path(arguments[0]).write_text(rendered)
        else:
            print(rendered, end="")
    except (SelectionError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
