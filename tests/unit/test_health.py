import time

import eventlet
from nameko.exceptions import RemoteError

from shared import health
from shared.errors import DeadlineExceeded, Unavailable


def failing(error: Exception):
    def check() -> None:
        raise error

    return check


def test_all_that_passes_is_ok():
    assert health.check_all({"a": lambda: None}) == {"status": "ok", "checks": {"a": "ok"}}


def test_what_fails_at_either_end_is_unavailable():
    checks = {"a": failing(Unavailable()), "b": failing(DeadlineExceeded()), "c": failing(RemoteError("X", "y"))}
    result = health.check_all({**checks, "d": lambda: None})
    unavailable = dict.fromkeys(checks, "unavailable")
    assert result == {"status": "degraded", "checks": {**unavailable, "d": "ok"}}


def test_checks_run_side_by_side_and_none_is_waited_for_long(monkeypatch):
    monkeypatch.setattr(health, "CHECK_TIMEOUT_S", 0.05)
    began = time.monotonic()
    result = health.check_all({name: lambda: eventlet.sleep(60) for name in "abc"})
    assert set(result["checks"].values()) == {"unavailable"}
    assert time.monotonic() - began < 1
