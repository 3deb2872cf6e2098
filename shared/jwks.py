"""Public keys for tokens from a JSON Web Key Set (RFC 7517), in a file or at a URL."""

import json
import logging
import time
from pathlib import Path
from typing import Any

import jwt
import requests

from shared.errors import Unavailable
from shared.jwt import InvalidToken

log = logging.getLogger(__name__)

ALGORITHMS = {"RSA": "RS256", "EC": "ES256"}
MAX_AGE_S = 300
MIN_AGE_S = 10
RETRY_S = 1
FETCH_TIMEOUT_S = 3
MAX_BYTES = 1 << 20


class KeySet:
    """The signing keys of a JWKS; read again every 5 minutes, and for an unknown `kid` every 10 s at most.

    While the source cannot be read, the keys read before go on serving.
    """

    algorithms = tuple(ALGORITHMS.values())

    def __init__(self, location: str) -> None:
        self.location = location
        self._keys: list[tuple[str | None, jwt.PyJWK]] = []
        self._tried_at = float("-inf")

    def __call__(self, header: dict[str, Any]) -> jwt.PyJWK:
        """The key for a token's header; raises InvalidToken when there is none, Unavailable when none were read."""
        self._refresh(MAX_AGE_S if self._keys else RETRY_S)
        if not self._keys:
            raise Unavailable("The keys that tokens are checked with cannot be read.")
        key = self._find(header)
        if key is None:
            self._refresh(MIN_AGE_S)
            key = self._find(header)
        if key is None:
            raise InvalidToken("The token is signed with a key that is not known.")
        return key

    def load(self) -> None:
        """Read the keys; raises OSError or ValueError (no usable key is a ValueError)."""
        keys = [key for key in map(_usable, json.loads(self._read())["keys"]) if key]
        if not keys:
            raise ValueError("it holds no RS256 or ES256 key")
        self._keys = keys

    def _find(self, header: dict[str, Any]) -> jwt.PyJWK | None:
        fitting = [(kid, key) for kid, key in self._keys if key.algorithm_name == header.get("alg")]
        if "kid" in header:
            return next((key for kid, key in fitting if kid == header["kid"]), None)
        return fitting[0][1] if len(fitting) == 1 else None

    def _refresh(self, max_age_s: float) -> None:
        if time.monotonic() - self._tried_at < max_age_s:
            return
        self._tried_at = time.monotonic()
        try:
            self.load()
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("the key set cannot be read", extra={"location": self.location, "reason": repr(error)})

    def _read(self) -> bytes:
        if not self.location.startswith(("http://", "https://")):
            return Path(self.location).read_bytes()
        answer = requests.get(self.location, timeout=FETCH_TIMEOUT_S, allow_redirects=False)
        answer.raise_for_status()
        if len(answer.content) > MAX_BYTES:
            raise ValueError("it is larger than 1 MiB")
        return answer.content


def _usable(member: dict[str, Any]) -> tuple[str | None, jwt.PyJWK] | None:
    """A signing key for one of ALGORITHMS, or None: other members of a set are to be ignored."""
    algorithm = ALGORITHMS.get(str(member.get("kty")))
    if algorithm is None or member.get("use", "sig") != "sig" or member.get("alg", algorithm) != algorithm:
        return None
    if algorithm == "ES256" and member.get("crv") != "P-256":
        return None
    public = {name: value for name, value in member.items() if name != "d"}
    try:
        return member.get("kid"), jwt.PyJWK(public, algorithm)
    except jwt.PyJWTError as error:
        log.warning("a key of the set is unusable", extra={"kid": member.get("kid"), "reason": str(error)})
        return None
