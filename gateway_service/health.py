"""Asking everything that the gateway needs, all at once and within bounds."""

from collections.abc import Callable, Mapping
from contextvars import copy_context
from typing import Any

import eventlet
from nameko.exceptions import RemoteError

from shared.errors import DomainError

CHECK_TIMEOUT_S = 1.5


def check_all(checks: Mapping[str, Callable[[], None]]) -> dict[str, Any]:
    """`{"status": "ok" | "degraded", "checks": {name: "ok" | "unavailable"}}` within CHECK_TIMEOUT_S.

    A check that raises a domain error (or any error at its remote end), or does not return in time, has failed.
    """
    # Each in a copy of this greenlet's context, so that its calls belong to the request's trace.
    running = {name: eventlet.spawn(copy_context().run, _passes, check) for name, check in checks.items()}
    results = {name: "ok" if thread.wait() else "unavailable" for name, thread in running.items()}
    healthy = all(result == "ok" for result in results.values())
    return {"status": "ok" if healthy else "degraded", "checks": results}


def _passes(check: Callable[[], None]) -> bool:
    with eventlet.Timeout(CHECK_TIMEOUT_S, False):
        try:
            check()
        except (DomainError, RemoteError):
            return False
        return True
    return False
