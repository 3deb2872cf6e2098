"""Rate limits per subject or address, and the client's address behind proxies."""

import ipaddress
import math
import time
from collections.abc import Iterable

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class RateLimit:
    """So many requests in any window of time, for each caller; `100/minute`, counted in this process."""

    def __init__(self, text: str) -> None:
        """Raises ValueError when `text` is no limit."""
        self.item: RateLimitItem = parse(text)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def retry_after(self, caller: str) -> int | None:
        """Count one request of `caller`; None when it may go ahead, else the seconds until the next may."""
        if self._limiter.hit(self.item, caller):
            return None
        reset = self._limiter.get_window_stats(self.item, caller).reset_time
        return max(math.ceil(reset - time.time()), 1)


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
