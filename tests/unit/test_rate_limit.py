"""Where a rate limit counts: in this process, or in a store that several share, which may be away."""

import time
from typing import Any

import eventlet
import pytest
from limits.errors import StorageError

from gateway_service.settings import Settings
from shared import rate_limit
from shared.config import ConfigurationError
from shared.http_policy import HttpPolicy
from shared.problems import Problem
from shared.rate_limit import RateLimit, TrustedProxies, address_key


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


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
        ("2001:DB8:0:1::", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_an_ipv6_subscriber_is_one_caller(address: str, key: str) -> None:
    assert address_key(address) == key


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:0db8::0001", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:port", "10.0.0.1"),
        ("[192.0.2.1", "10.0.0.1"),
        ("192.0.2.1, [::ffff:10.0.0.2]:80", "192.0.2.1"),
    ],
)
def test_a_proxy_may_write_a_port_with_the_address(written: str, address: str) -> None:
    assert TrustedProxies(["10.0.0.0/8"]).client_address("10.0.0.1", written) == address


def test_other_addresses_of_a_network_are_limited_together() -> None:
    policy = HttpPolicy(rate_limit=RateLimit("2/minute"))
    for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"):
        policy.count(None, {"REMOTE_ADDR": address})
    with pytest.raises(Problem) as refused:
        policy.count(None, {"REMOTE_ADDR": "2001:db8::3"})
    assert refused.value.status == 429
