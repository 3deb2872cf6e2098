"""Tokens that have been verified before: a bike or rider sends the same one for hours.

Verifying costs 70 µs, 13 % of a reported position (docs/performance.md). What is kept is the outcome of a verification
that went well, with all that can change it since: the time, and the key.
"""

import time
from dataclasses import dataclass
from typing import Any

MAX_TOKENS = 10_000
# Longer ones are none of ours, and would make the memory of so many matter.
MAX_LENGTH = 1024


@dataclass(frozen=True, slots=True)
class Known:
    """What a token has proved: by which `header` and `key`, for whom, and until when (Unix time)."""

    header: dict[str, Any]
    key: Any
    identity: Any
    expires: int


class KnownTokens:
    """The tokens that were verified last, up to 10,000; none of them is looked at after it has expired."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}

    def get(self, token: str) -> Known | None:
        known = self._known.get(token)
        if known is not None and known.expires <= time.time():
            del self._known[token]
            return None
        return known

    def keep(self, token: str, known: Known) -> None:
        if len(token) > MAX_LENGTH:
            return
        self._known.pop(token, None)
        while len(self._known) >= MAX_TOKENS:
            del self._known[next(iter(self._known))]
        self._known[token] = known
