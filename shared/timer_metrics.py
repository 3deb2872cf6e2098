"""The work that a service does by the clock, as Prometheus sees it."""

import time
from typing import Any
from weakref import WeakKeyDictionary

from nameko.extensions import DependencyProvider
from nameko.timer import Timer

from shared.metrics import OK, TimedCounter, gauge, outcome_of

RUNS = TimedCounter("timer_runs", "timer_run", "Runs of a service's timers, by timer and outcome", ["timer", "outcome"])
LAST_SUCCESS = gauge(
    "timer_last_success_timestamp_seconds", "When the timer's last good run ended, or the process began.", ["timer"]
)


class TimerMetrics(DependencyProvider):
    """Counts the runs of the container's timers; injects nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._started: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    def start(self) -> None:
        for entrypoint in self.container.entrypoints:
            if isinstance(entrypoint, Timer):
                LAST_SUCCESS.labels(entrypoint.method_name).set_to_current_time()

    def worker_setup(self, worker_ctx: Any) -> None:
        if isinstance(worker_ctx.entrypoint, Timer):
            self._started[worker_ctx] = time.monotonic()

    def worker_result(self, worker_ctx: Any, result: Any = None, exc_info: Any = None) -> None:
        started = self._started.pop(worker_ctx, None)
        if started is None:
            return
        timer, outcome = worker_ctx.entrypoint.method_name, outcome_of(exc_info and exc_info[1])
        RUNS.record(time.monotonic() - started, timer, outcome)
        if outcome == OK:
            LAST_SUCCESS.labels(timer).set_to_current_time()
