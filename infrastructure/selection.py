"""Which services to run, and in how many processes: SERVICES="gateway bike", PROCESSES="gateway=2 bike=1"."""

from collections.abc import Mapping
from dataclasses import dataclass, field

SUFFIX = "_service"
# In the order in which they are started.
SERVICES = ("bike_service", "trip_service", "gateway_service")
# Those with a database of their own, which bears the service's name.
WITH_DATABASE = ("bike_service", "trip_service")
MAX_PROCESSES = 32


class SelectionError(Exception):
    """SERVICES or PROCESSES is wrong; the text names what there is."""


@dataclass(frozen=True)
class Selection:
    """`processes`: service name to number of processes, in the order of SERVICES; at least one service."""

    processes: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(SERVICES, 1))

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(self.processes)

    @property
    def databases(self) -> tuple[str, ...]:
        """Names of the services whose databases are needed."""
        return tuple(name for name in self.services if name in WITH_DATABASE)

    def including(self, other: "Selection") -> "Selection":
        """Both; where both name a service, the number of processes is `other`'s."""
        numbers = {**self.processes, **other.processes}
        return Selection({name: numbers[name] for name in SERVICES if name in numbers})


def read(environ: Mapping[str, str]) -> Selection:
    """The selection of SERVICES (default: all) and PROCESSES (default: one each). Raises SelectionError.

    A service may be named with or without `_service`; names are parted by spaces or commas.
    """
    wanted = {_known(word, "SERVICES") for word in _words(environ.get("SERVICES", ""))} or set(SERVICES)
    numbers = dict.fromkeys(SERVICES, 1)
    for word in _words(environ.get("PROCESSES", "")):
        name, equals, number = word.partition("=")
        if not (equals and number.isascii() and number.isdigit() and 1 <= int(number) <= MAX_PROCESSES):
            raise SelectionError(f'PROCESSES must be like "gateway=2 bike=1" (1 to {MAX_PROCESSES}), not {word!r}.')
        service = _known(name, "PROCESSES")
        if service not in wanted:
            raise SelectionError(f"PROCESSES names {short(service)}, which SERVICES leaves out.")
        numbers[service] = int(number)
    return Selection({name: numbers[name] for name in SERVICES if name in wanted})


def numbered(environ: Mapping[str, str]) -> frozenset[str]:
    """The services whose number PROCESSES gives. Raises SelectionError for an unknown name."""
    return frozenset(_known(word.partition("=")[0], "PROCESSES") for word in _words(environ.get("PROCESSES", "")))


def wanted(running: Selection, environ: Mapping[str, str]) -> Selection:
    """What runs and what is chosen; a service that runs keeps its number of processes unless PROCESSES names it."""
    chosen, given = read(environ), numbered(environ)
    named = given | (set(chosen.services) - set(running.services))
    return running.including(Selection({name: chosen.processes[name] for name in chosen.services if name in named}))


def short(service: str) -> str:
    """The service's name as SERVICES takes it: `bike`."""
    return service.removesuffix(SUFFIX)


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _known(word: str, setting: str) -> str:
    name = word if word.endswith(SUFFIX) else word + SUFFIX
    if name not in SERVICES:
        known = ", ".join(map(short, SERVICES))
        raise SelectionError(f"{setting}: there is no service {word!r}; the services are {known}.")
    return name
