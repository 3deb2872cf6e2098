"""Figures that somebody else must be asked for: measured when Prometheus asks, without ever making it wait for long.

A probe asks the database or the broker at most every FRESH_S seconds, in a greenlet of its own. A scrape waits
WAIT_S for all of them together; of one that takes longer it gets the figures of the time before. Where the last
measurement failed, or none has succeeded for SHOWN_S, the figures are absent, and `bike_company_probe_up` is 0.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator

import eventlet
from eventlet.event import Event
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.metrics import NAMESPACE, REGISTRY

log = logging.getLogger(__name__)

FRESH_S = 4.0
# Longer than Prometheus's usual intervals: what came too late for one scrape is there for the next.
SHOWN_S = 60.0
WAIT_S = 1.0
# After this the one who is asked counts as away.
LIMIT_S = 5.0


class Probe:
    """`measure` returns the figures, or raises; it is called by one greenlet at a time."""

    def __init__(self, name: str, measure: Callable[[], Iterable[Metric]]) -> None:
        self.name, self._measure = name, measure
        self.figures: list[Metric] = []
        self.failures = 0
        self.measured_at = -math.inf
        self._running: Event | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether nobody needs to be asked again yet."""
        return time.monotonic() - self.measured_at < FRESH_S

    @property
    def is_shown(self) -> bool:
        """Whether the figures are new enough to be shown."""
        return time.monotonic() - self.measured_at < SHOWN_S

    def begin(self) -> None:
        """Measure, unless that is under way or not due yet."""
        if self._running is None and not self.is_fresh:
            self._running = Event()
            eventlet.spawn_n(self._run, self._running)

    def wait(self) -> None:
        """Until no measurement is under way."""
        if self._running is not None:
            self._running.wait()

    def _run(self, done: Event) -> None:
        try:
            # A BaseException, after which SQLAlchemy does not use the connection again.
            with eventlet.Timeout(LIMIT_S):
                figures = list(self._measure())
        except (Exception, eventlet.Timeout) as error:
            if self.failures == 0 or self.figures:
                log.warning("figures cannot be measured", extra={"probe": self.name, "reason": repr(error)})
            self.failures += 1
            self.figures, self.measured_at = [], -math.inf
        else:
            self.figures, self.measured_at = figures, time.monotonic()
        finally:
            self._running = None
            done.send()


class Probes(Collector):
    """All probes of this process."""

    def __init__(self) -> None:
        self._probes: list[Probe] = []

    def add(self, probe: Probe) -> None:
        self._probes.append(probe)

    def remove(self, probe: Probe) -> None:
        if probe in self._probes:
            self._probes.remove(probe)

    def describe(self) -> list[Metric]:
        """None beforehand, so that registering asks nobody."""
        return []

    def collect(self) -> Iterator[Metric]:
        probes = list(self._probes)
        for probe in probes:
            probe.begin()
        with eventlet.Timeout(WAIT_S, False):
            for probe in probes:
                probe.wait()
        up = GaugeMetricFamily(f"{NAMESPACE}_probe_up", "1 if the figures of this probe are there.", labels=["probe"])
        failures = CounterMetricFamily(
            f"{NAMESPACE}_probe_failures", "How often the figures could not be measured.", labels=["probe"]
        )
        for probe in probes:
            up.add_metric([probe.name], float(probe.is_shown))
            failures.add_metric([probe.name], probe.failures)
            if probe.is_shown:
                yield from probe.figures
        yield up
        yield failures


PROBES = Probes()
REGISTRY.register(PROBES)


def figure(name: str, documentation: str, value: float) -> Metric:
    """A gauge `bike_company_<name>` without labels."""
    return GaugeMetricFamily(f"{NAMESPACE}_{name}", documentation, value=value)


def figures_by(name: str, documentation: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    """A gauge `bike_company_<name>` by one label."""
    family = GaugeMetricFamily(f"{NAMESPACE}_{name}", documentation, labels=[label])
    for key, value in values:
        family.add_metric([key], value)
    return family
