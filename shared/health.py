"""Asking everything that a process needs, all at once and within bounds."""

from collections.abc import Callable, Mapping
from contextvars import copy_context
from typing import Any

import eventlet
from nameko.exceptions import RemoteError

from shared.database import SideEngine
from shared.errors import DomainError
from shared.outage import is_outage
from shared.publisher import SharedPublisher

CHECK_TIMEOUT_S = 1.5
Check = Callable[[], None]
STARTING, STOPPING = "starting", "stopping"


def check_all(checks: Mapping[str, Check]) -> dict[str, Any]:
    """`{"status": "ok" | "degraded", "checks": {name: "ok" | "unavailable"}}` within CHECK_TIMEOUT_S.

    A check that raises a domain error (or any error at its remote end), an outage, or does not return in time, has
    failed.
    """
    # Each in a copy of this greenlet's context, so that its calls belong to the request's trace.
    running = {name: eventlet.spawn(copy_context().run, _passes, check) for name, check in checks.items()}
    results = {name: "ok" if thread.wait() else "unavailable" for name, thread in running.items()}
    healthy = all(result == "ok" for result in results.values())
    return {"status": "ok" if healthy else "degraded", "checks": results}


def _passes(check: Check) -> bool:
    with eventlet.Timeout(CHECK_TIMEOUT_S, False):
        try:
            check()
        except (DomainError, RemoteError):
            return False
        except Exception as error:  # an outage has many classes, is_outage knows them
            if not is_outage(error):
                raise
            return False
        return True
    return False


class Health:
    """How this process is: starting, then as its checks say, then stopping."""

    def __init__(self) -> None:
        self._phase: str | None = STARTING
        self._checks: Mapping[str, Check] = {}

    def started(self, checks: Mapping[str, Check]) -> None:
        if self._phase == STARTING:
            self._phase, self._checks = None, checks

    def stopping(self) -> None:
        self._phase = STOPPING

    def report(self) -> dict[str, Any]:
        """`{"status": "starting" | "ok" | "degraded" | "stopping", "checks": {...}}`; only ok without `checks`."""
        if self._phase is not None:
            return {"status": self._phase, "checks": {}}
        report = check_all(self._checks)
        return {"status": "ok"} if report["status"] == "ok" else report


def checks_of(container: Any) -> dict[str, Check]:
    """The checks of a started service container: its broker, and its database if it has one."""
    checks: dict[str, Check] = {}
    for extension in container.extensions:
        if isinstance(extension, SharedPublisher) and extension.core is not None:
            checks["broker"] = extension.core.check
        if isinstance(extension, SideEngine):
            checks["database"] = extension.check
    return checks
