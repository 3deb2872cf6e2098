"""What a gateway asks of every request, from its configuration: tokens, rate limits, origins, proxies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from werkzeug.datastructures import Headers

from shared.jwt import Identity, InvalidToken, Verifier
from shared.problems import Problem
from shared.rate_limit import RateLimit, TrustedProxies, address_key

REALM = 'Bearer realm="bike-company"'
REQUEST_HEADERS = "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, X-Request-ID"
RESPONSE_HEADERS = "ETag, Idempotency-Replayed, Location, Retry-After, X-Request-ID"
PREFLIGHT_MAX_AGE_S = 600


@dataclass(frozen=True)
class Cors:
    """The origins whose pages may call (Fetch standard, CORS protocol); none by default, `*` for any."""

    origins: frozenset[str] = frozenset()

    def headers_for(self, origin: str | None) -> dict[str, str]:
        """For a response to a request from `origin`."""
        if not self.origins:
            return {}
        if "*" in self.origins:
            allowed: dict[str, str] = {"Access-Control-Allow-Origin": "*"}
        elif origin in self.origins and origin:
            allowed = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
        else:
            return {"Vary": "Origin"}
        return {**allowed, "Access-Control-Expose-Headers": RESPONSE_HEADERS}

    def is_preflight(self, method: str, headers: Headers) -> bool:
        """Whether a browser asks if it may send a request."""
        return bool(self.origins and method == "OPTIONS" and headers.get("Access-Control-Request-Method"))

    @staticmethod
    def preflight_headers(methods: list[str]) -> dict[str, str]:
        """For the answer to a preflight about a resource with `methods`."""
        return {
            "Access-Control-Allow-Methods": ", ".join(methods),
            "Access-Control-Allow-Headers": REQUEST_HEADERS,
            "Access-Control-Max-Age": str(PREFLIGHT_MAX_AGE_S),
        }


ANY_ORIGIN = Cors(frozenset("*"))
"""For what is everybody's to read."""


@dataclass(frozen=True)
class HttpPolicy:
    """The defaults take no token, limit nothing, trust no proxy, and close no route that is public (`is_closed`)."""

    verifier: Verifier | None = None
    cors: Cors = field(default_factory=Cors)
    rate_limit: RateLimit | None = None
    proxies: TrustedProxies = field(default_factory=TrustedProxies)
    is_closed: bool = False

    def authenticate(self, authorization: str | None) -> Identity | None:
        """Who sent the request, None without the header; raises InvalidToken."""
        if authorization is None:
            return None
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise InvalidToken("Authorization must be: Bearer, a space, a token.")
        if self.verifier is None:
            raise InvalidToken("No tokens are taken here.")
        return self.verifier.verify(token.strip())

    def count(self, identity: Identity | None, environ: Mapping[str, Any]) -> None:
        """Count a request against its subject's limit, or its address's; raises Problem 429."""
        if self.rate_limit is None:
            return
        if identity is not None:
            caller = f"sub:{identity.role}:{identity.sub}"
        else:
            address = self.proxies.client_address(environ.get("REMOTE_ADDR", ""), environ.get("HTTP_X_FORWARDED_FOR"))
            caller = f"address:{address_key(address)}"
        seconds = self.rate_limit.retry_after(caller)
        if seconds is not None:
            raise Problem(429, "Too many requests.", headers={"Retry-After": str(seconds)})
