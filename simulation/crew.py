"""Everybody at work, each in a thread, until the city closes."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from simulation.city import City
from simulation.parking import keep_reporting, report_all

SHOW_EVERY_S = 0.5


def work(city: City, riders: Sequence[Callable[[], None]], seconds: float | None, show: Callable[[], None]) -> None:
    """Lets all ride for so long (None: until the city closes), showing now and then; then all trips are over.

    What a rider raises ends the city, and is raised here.
    """
    until = None if seconds is None else time.monotonic() + seconds
    report_all(city)
    with ThreadPoolExecutor(len(riders) + 1, thread_name_prefix="rider") as riding, ThreadPoolExecutor(1) as platform:
        over = platform.submit(city.reports.run, city.closing)
        futures: list[Future[None]] = [riding.submit(each) for each in [*riders, lambda: keep_reporting(city)]]
        try:
            while until is None or time.monotonic() < until:
                if not city.wait(SHOW_EVERY_S) or over.done() or _raised(futures):
                    break
                show()
        finally:
            city.closing.set()
        for future in [*futures, over]:
            future.result()
    # what was reported while the last trips ended
    city.reports.flush()
    show()


def _raised(futures: list[Future[None]]) -> bool:
    return any(future.done() and future.exception() is not None for future in futures)
