"""What all metrics have in common: the name space, the buckets, a counter with its durations, counting after commit.

Each process has its own registry and its own port (`shared.status_server`), and Prometheus scrapes every one of them:
prometheus_client's multiprocess mode is for forked workers behind one port, which this system does not have, and
it would cost the gauges their meaning. Labels are few and known beforehand: templates of routes, names of methods and
queues, never an id or anything else that a caller can choose.
"""

from collections.abc import Sequence
from typing import Any

import prometheus_client
from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from sqlalchemy import event
from sqlalchemy.orm import Session

from shared import VERSION
from shared.errors import DomainError, Unavailable
from shared.outage import is_outage

NAMESPACE = "bike_company"
# In seconds, from a query by key to the longest time limit.
DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
OK, DEFECT = "ok", "defect"

# When a series began is nothing that anybody here asks, and would double them.
prometheus_client.disable_created_metrics()


def counter(name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
    """A counter `bike_company_<name>_total`."""
    return Counter(name, documentation, labels, namespace=NAMESPACE)


def gauge(name: str, documentation: str, labels: Sequence[str] = ()) -> Gauge:
    """A gauge `bike_company_<name>`."""
    return Gauge(name, documentation, labels, namespace=NAMESPACE)


def histogram(name: str, documentation: str, labels: Sequence[str], buckets: Sequence[float]) -> Histogram:
    """A histogram `bike_company_<name>`."""
    return Histogram(name, documentation, labels, namespace=NAMESPACE, buckets=buckets)


class TimedCounter:
    """How often something was done, by `labels`, and how long it took, by all of them but the last, its outcome.

    Makes `bike_company_<plural>_total` and `bike_company_<singular>_duration_seconds`.
    """

    def __init__(self, plural: str, singular: str, what: str, labels: Sequence[str]) -> None:
        self._total = counter(plural, f"{what}.", labels)
        self._duration = histogram(
            f"{singular}_duration_seconds", f"How long they took: {what}.", labels[:-1], DURATION_BUCKETS
        )
        # Looking a series up costs as much as counting it.
        self._series: dict[tuple[str, ...], tuple[Any, Any]] = {}

    def record(self, seconds: float, *values: str) -> None:
        """Count one that took `seconds`; `values` in the order of the labels, all of them text."""
        total, duration = self._series.get(values) or self.begin(*values)
        total.inc()
        duration.observe(seconds)

    def begin(self, *values: str) -> tuple[Any, Any]:
        """Show these from now on, at zero, so that Prometheus sees the first one as an increase."""
        series = self._series[values] = self._total.labels(*values), self._duration.labels(*values[:-1])
        return series


def outcome_of(error: BaseException | None) -> str:
    """`ok`, the class of `shared.errors` that the error is or becomes, or `defect`."""
    if error is None:
        return OK
    if isinstance(error, DomainError):
        return next(cls.__name__ for cls in type(error).__mro__ if cls.__module__ == DomainError.__module__)
    return Unavailable.__name__ if is_outage(error) else DEFECT


def count_on_commit(session: Session, metric: Any, amount: int = 1) -> None:
    """Add `amount` to a counter once the transaction of `session` is committed, and only then."""
    counted = False

    def count(committed: Session) -> None:
        nonlocal counted
        # The end of a savepoint is told of too.
        if not counted and not committed.in_nested_transaction():
            counted = True
            metric.inc(amount)

    event.listen(session, "after_commit", count)


def set_build_info(service: str) -> None:
    """Let `bike_company_build_info` say which service this process is, and in which version."""
    BUILD_INFO.labels(VERSION, service).set(1)


BUILD_INFO = gauge("build_info", "Always 1; its labels say what runs.", ["version", "service"])

__all__ = ["DEFECT", "OK", "REGISTRY", "TimedCounter", "count_on_commit", "counter", "gauge", "histogram", "outcome_of"]
