"""Rate limits per subject or address, and the client's address behind proxies."""

import ipaddress
import logging
import math
import re
import time
from collections.abc import Iterable

import eventlet
from limits import RateLimitItem, parse
from limits.errors import ConfigurationError as LimitsError
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter

log = logging.getLogger(__name__)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# A subscriber has that much of IPv6 at least, and may call from any address in it.
IPV6_PREFIX = 64
WITH_PORT = re.compile(r"\[([^\]]+)\](?::\d{1,5})?|(\d+\.\d+\.\d+\.\d+):\d{1,5}")
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
        """The nearest address that is no trusted proxy: what a client wrote further left proves nothing.

        In one spelling only, without a port; `peer` as it is when it is no IP address.
        """
        address = address_of(peer)
        if address is None:
            return peer
        for text in reversed((forwarded_for or "").split(",")):
            claimed = address_of(text.strip())
            if claimed is None or not self._trusts(address):
                break
            address = claimed
        return str(address)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def address_of(text: str) -> Address | None:
    """The IP address in `addr`, `addr:port` or `[addr]:port`, IPv4 in IPv6 as IPv4; None when there is none."""
    match = WITH_PORT.fullmatch(text)
    try:
        address = ipaddress.ip_address((match[1] or match[2]) if match else text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def address_key(text: str) -> str:
    """What the callers at this address are counted by: the IPv4 address, or the IPv6 network of its subscriber."""
    address = address_of(text)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(address), IPV6_PREFIX), strict=False))
    return text if address is None else str(address)
