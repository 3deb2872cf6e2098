"""Where a rate limit counts: in this process, or in a store that several share, which may be away."""

import time
from typing import Any

import eventlet
import pytest
from limits.errors import StorageError

from gateway_service.settings import Settings
from shared import rate_limit
from shared.config import ConfigurationError
from shared.rate_limit import RateLimit


def settings(storage: str) -> Settings:
    return Settings.from_environment({"JWT_SECRET": "x" * 32, "RATE_LIMIT": "2/minute", "RATE_LIMIT_STORAGE": storage})


@pytest.mark.parametrize("storage", ["", "memory://"])
def test_without_a_store_each_process_counts_for_itself(storage: str) -> None:
    one, other = settings(storage).policy.rate_limit, settings(storage).policy.rate_limit
    assert one is not None
    assert other is not None
    assert [one.retry_after("ann") for _ in range(2)] == [None, None]
    assert 1 <= (one.retry_after("ann") or 0) <= 60
    assert other.retry_after("ann") is None


@pytest.mark.parametrize(
    ("storage", "reason"),
    [
        ("redis://:pass-word@localhost:6379/0", "package"),
        ("nothing://user:pass-word@localhost", "not known"),
        ("memcached://localhost", "lacks a host"),
        ("pass-word", "not known"),
    ],
)
def test_a_store_that_cannot_be_had_is_one_sentence_without_its_password(storage: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match="RATE_LIMIT_STORAGE") as raised:
        settings(storage)
    assert reason in str(raised.value)
    assert "pass-word" not in str(raised.value)
    assert "\n" not in str(raised.value)


class AwayStorage:
    """Fails, or keeps its caller waiting."""

    def __init__(self, error: Exception | None) -> None:
        self.error, self.calls = error, 0

    def hit(self, *arguments: Any) -> bool:
        self.calls += 1
        if self.error:
            raise self.error
        eventlet.sleep(60)
        return True


@pytest.mark.parametrize("error", [StorageError(OSError("gone")), ConnectionRefusedError(), None])
def test_a_store_that_is_away_limits_nobody_and_is_not_asked_each_time(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rate_limit, "STORAGE_TIMEOUT_S", 0.05)
    limit, away = RateLimit("1/minute"), AwayStorage(error)
    working = limit._limiter
    monkeypatch.setattr(limit, "_limiter", away)
    began = time.monotonic()
    assert [limit.retry_after("ann") for _ in range(5)] == [None] * 5
    assert time.monotonic() - began < 2
    assert away.calls == 1
    assert "nobody is limited" in caplog.text
    monkeypatch.setattr(limit, "_limiter", working)
    monkeypatch.setattr(limit, "_ask_again_at", 0.0)
    assert limit.retry_after("ann") is None
    assert limit.retry_after("ann")
