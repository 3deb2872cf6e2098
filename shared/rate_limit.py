"""Rate limits per subject or address, and the client's address behind proxies."""

import ipaddress
import logging
import math
import time
from collections.abc import Iterable

import eventlet
from limits import RateLimitItem, parse
from limits.errors import ConfigurationError as LimitsError
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter

log = logging.getLogger(__name__)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
THIS_PROCESS = "memory://"
STORAGE_TIMEOUT_S = 0.5
STORAGE_RETRY_S = 5.0


class UnusableStorage(Exception):
    """The storage of a rate limit cannot be had; the message says why, and never holds its URI."""


class RateLimit:
    """So many requests in any window of time, for each caller; `100/minute`.

    Counted in this process, or in a `storage` (a URI that `limits` knows) that several processes share. One that is
    away or slow limits nobody: it is asked again after 5 s, and no request fails for it.
    """

    def __init__(self, text: str, storage: str = THIS_PROCESS) -> None:
        """Raises ValueError when `text` is no limit, UnusableStorage."""
        self.item: RateLimitItem = parse(text)
        self._limiter = _limiter(storage)
        self._ask_again_at = 0.0

    def retry_after(self, caller: str) -> int | None:
        """Count one request of `caller`; None when it may go ahead, else the seconds until the next may."""
        if time.monotonic() < self._ask_again_at:
            return None
        try:
            with eventlet.Timeout(STORAGE_TIMEOUT_S, TimeoutError("no answer in time")):
                return self._count(caller)
        except Exception as error:  # each storage has errors of its own
            log.warning("the rate limit's storage is away, nobody is limited", extra={"reason": type(error).__name__})
            self._ask_again_at = time.monotonic() + STORAGE_RETRY_S
            return None

    def _count(self, caller: str) -> int | None:
        if self._limiter.hit(self.item, caller):
            return None
        reset = self._limiter.get_window_stats(self.item, caller).reset_time
        return max(math.ceil(reset - time.time()), 1)


def _limiter(storage: str) -> MovingWindowRateLimiter:
    scheme = storage.partition("://")[0] + "://" if "://" in storage else "what has no scheme"
    try:
        return MovingWindowRateLimiter(storage_from_string(storage))
    except LimitsError as error:
        if "prerequisite not available" in str(error):
            raise UnusableStorage(f"{scheme} needs a Python package that is not installed here") from None
        raise UnusableStorage(f"{scheme} is not known, or lacks a host") from None
    except Exception:  # what a storage makes of a bad URI is its own affair
        raise UnusableStorage(f"{scheme} cannot keep a moving window, or its URI is wrong") from None


class TrustedProxies:
    """The proxies whose `X-Forwarded-For` is believed."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """Addresses or networks in CIDR form; raises ValueError for anything else."""
        self._networks: list[Network] = [ipaddress.ip_network(text, strict=False) for text in networks]

    def client_address(self, peer: str, forwarded_for: str | None) -> str:
        """The nearest address that is no trusted proxy: what a client wrote further left proves nothing."""
        address = peer
        for claimed in reversed([part.strip() for part in (forwarded_for or "").split(",")]):
            if not self._trusts(address) or not _is_address(claimed):
                break
            address = claimed
        return address

    def _trusts(self, text: str) -> bool:
        if not self._networks or not _is_address(text):
            return False
        address = ipaddress.ip_address(text)
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped in network for network in self._networks)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
