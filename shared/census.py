"""Figures that a service counts in its database, for Prometheus."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nameko.extensions import DependencyProvider
from prometheus_client.core import Metric
from sqlalchemy.orm import Session

from shared.database import SideEngine
from shared.probes import PROBES, Probe, figure, figures_by


class Census(DependencyProvider):
    """A gauge `bike_company_<name>` of what `count` returns: a number, or with `label` numbers by its values.

    Injects nothing. `count` is called with a session beside the pool, at most every few seconds.
    """

    side = SideEngine()

    def __init__(
        self, name: str, documentation: str, count: Callable[[Session], int | Mapping[str, int]], label: str = ""
    ) -> None:
        super().__init__()
        self._name, self._documentation, self._count, self._label = name, documentation, count, label
        self._probe = Probe(name, self._measure)

    def start(self) -> None:
        PROBES.add(self._probe)

    def stop(self) -> None:
        PROBES.remove(self._probe)

    kill = stop

    def get_dependency(self, worker_ctx: Any) -> None:
        return None

    def _measure(self) -> Iterator[Metric]:
        with Session(self.side.engine) as session:
            counted = self._count(session)
        if isinstance(counted, Mapping):
            yield figures_by(self._name, self._documentation, self._label, counted.items())
        else:
            yield figure(self._name, self._documentation, counted)
