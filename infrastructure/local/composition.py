"""What the running stack consists of: its services, their processes and status ports, and the settings it has."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from infrastructure import programs
from infrastructure.local import files, ports
from infrastructure.local.layout import Layout
from infrastructure.local.settings import Settings
from infrastructure.selection import Selection, short
from shared.pool_sizes import max_connections


@dataclass(frozen=True)
class Composition:
    """`status_ports`: service to the port of its first process; the next ones follow. `launcher`: see `claim`."""

    launcher: str
    selection: Selection
    settings: Settings
    status_ports: dict[str, int]

    @property
    def status_addresses(self) -> dict[str, str]:
        return {name: f"127.0.0.1:{port}" for name, port in self.status_ports.items()}

    def metrics_urls(self) -> dict[str, str]:
        """`BIKE_METRICS_URLS` and its like: one URL for each process, with commas between."""
        urls = {}
        for name, number in self.selection.processes.items():
            first = self.status_ports[name]
            addresses = (f"http://127.0.0.1:{port}/metrics" for port in range(first, first + number))
            urls[f"{short(name).upper()}_METRICS_URLS"] = ",".join(addresses)
        return urls

    def private_databases(self) -> tuple[str, ...]:
        """Names of the databases that the private PostgreSQL has to hold."""
        return tuple(name for name in self.selection.databases if self.settings.database_url(name) is None)

    def private_connections(self) -> int:
        """How many connections the private PostgreSQL has to take at once."""
        return max_connections(sum(self.selection.processes[name] for name in self.private_databases()))

    def process_names(self) -> list[str]:
        return [
            each for name, number in self.selection.processes.items() for each in programs.process_names(name, number)
        ]


def choose_ports(layout: Layout, selection: Selection, kept: dict[str, int], new: Iterable[str]) -> dict[str, int]:
    """Free status ports for the services in `new`, the remembered ones where they are free; `kept` has the others'."""
    chosen, remembered = dict(kept), files.read_json(layout.status_ports)
    for name in new:
        taken = {port for other, first in chosen.items() for port in range(first, first + selection.processes[other])}
        chosen[name] = ports.choose_run(selection.processes[name], remembered.get(name), frozenset(taken))
    files.write_json(layout.status_ports, {**remembered, **chosen})
    return chosen


def write(layout: Layout, composition: Composition) -> None:
    content = asdict(composition)
    content["selection"] = dict(composition.selection.processes)
    files.write_json(layout.composition, content)


def read(layout: Layout) -> Composition | None:
    """What was written last; None when nothing was."""
    content = files.read_json(layout.composition)
    if not content:
        return None
    return Composition(
        content["launcher"], Selection(content["selection"]), Settings(**content["settings"]), content["status_ports"]
    )
