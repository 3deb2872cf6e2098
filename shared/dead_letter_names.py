"""Which dead-letter queues there are: those of the services that are installed here."""

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path

from shared.batch import BatchConsumer
from shared.events import EventHandler
from shared.positions import QUEUES
from shared.topology import DEAD_SUFFIX


def known() -> list[str]:
    """Names, sorted. AMQP has no way to ask, so they are read from the services' own entrypoints.

    In a checkout these are all; in a service's image its own and those of positions.
    """
    names = {queue.name for queue in QUEUES}
    for service in _services():
        names |= set(_work_queues(service))
    return sorted(name + DEAD_SUFFIX for name in names)


def dead(queue: str) -> str:
    """The dead-letter queue that a work queue's name, or its own, means."""
    return queue if queue.endswith(DEAD_SUFFIX) else queue + DEAD_SUFFIX


def work(queue: str) -> str:
    """The work queue whose dead letters are in `queue`."""
    return queue.removesuffix(DEAD_SUFFIX)


def _services() -> Iterator[type]:
    root = Path(__file__).parent.parent
    for package in pkgutil.iter_modules([str(root)]):
        if package.ispkg and importlib.util.find_spec(f"{package.name}.service"):
            module = importlib.import_module(f"{package.name}.service")
            classes = (each for each in vars(module).values() if inspect.isclass(each))
            yield from (each for each in classes if getattr(each, "name", None) == package.name)


def _work_queues(service: type) -> Iterator[str]:
    for method, function in inspect.getmembers(service, inspect.isfunction):
        for entrypoint in getattr(function, "nameko_entrypoints", ()):
            if isinstance(entrypoint, BatchConsumer):
                yield entrypoint.queue.name
            elif isinstance(entrypoint, EventHandler):
                yield entrypoint.queue_name(service.name, method)  # type: ignore[attr-defined]
