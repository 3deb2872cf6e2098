"""The workloads: each module of `workloads/` has one, as `WORKLOAD`."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks import workloads
from benchmarks.bench import Bench, Settings
from benchmarks.errors import UsageError
from benchmarks.rows import Row


@dataclass(frozen=True)
class Workload:
    """`run` measures, checks the databases and returns the rows; it raises BenchmarkError for a wrong answer.

    `order`: its place in a run and in the table. `long`: runs with LONG=1, or when it is named, only.
    `parameters`: names and defaults of what `--set WORKLOAD.NAME=NUMBER` changes.
    """

    name: str
    order: int
    run: Callable[[Bench, Mapping[str, int]], Sequence[Row]]
    long: bool = False
    parameters: Mapping[str, int] = field(default_factory=dict)

    def values(self, settings: Settings) -> dict[str, int]:
        """The parameters as this run has them."""
        return {name: settings.parameters.get(f"{self.name}.{name}", value) for name, value in self.parameters.items()}


def load() -> list[Workload]:
    """All workloads in their order."""
    modules = [importlib.import_module(f"{workloads.__name__}.{each.name}") for each in pkgutil.iter_modules(PATH)]
    return sorted((module.WORKLOAD for module in modules), key=lambda workload: (workload.order, workload.name))


PATH = workloads.__path__


def choose(known: Sequence[Workload], settings: Settings) -> list[Workload]:
    """Those that are to run. Raises UsageError when one is named, or a parameter set, that does not exist."""
    names = [workload.name for workload in known]
    for name in settings.only:
        if name not in names:
            raise UsageError(f"There is no workload {name!r}; there are {', '.join(names)}.")
    parameters = {f"{workload.name}.{name}" for workload in known for name in workload.parameters}
    for name in settings.parameters:
        if name not in parameters:
            raise UsageError(f"There is no parameter {name!r}; there are {', '.join(sorted(parameters))}.")
    if settings.only:
        return [workload for workload in known if workload.name in settings.only]
    return [workload for workload in known if settings.long or not workload.long]
