"""The gateway's settings, read from the environment; `nameko_config` is what they add to nameko's configuration."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared import config, gbfs_settings
from shared.config import ConfigurationError
from shared.fares import Fares
from shared.gbfs_settings import GbfsSettings
from shared.http_policy import Cors, HttpPolicy
from shared.jwks import KeySet
from shared.jwt import Verifier
from shared.rate_limit import THIS_PROCESS, RateLimit, TrustedProxies, UnusableStorage

DEFAULT_ADDRESS = "127.0.0.1:8000"
# As many as the server takes connections, so that a slow service cannot take the worker that `/ping` needs.
DEFAULT_MAX_WORKERS = 1000
DEFAULT_STREAM_READERS = 1000
ADDRESS = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3}|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?):(\d{1,5})")
PUBLIC_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::\d{1,5})?(?:/[A-Za-z0-9._~/-]*)?")
ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(?::\d+)?")


@dataclass(frozen=True)
class Settings:
    """`address`: host:port to listen on, unless `socket_fd` listens already. `rpc_timeout`: seconds for one call.

    `public_url`: how the world reaches the gateway, without a slash at the end; None: as each request does.
    `stream_readers`: how many may read the live stream of this process at once.
    """

    address: str
    socket_fd: int | None
    policy: HttpPolicy
    rpc_timeout: float
    public_url: str | None
    gbfs: GbfsSettings
    fares: Fares
    stream_readers: int = DEFAULT_STREAM_READERS

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Raises ConfigurationError with a sentence that names the variable."""
        return cls(
            address=_address(environ),
            socket_fd=_socket_fd(environ),
            policy=HttpPolicy(
                verifier=_verifier(environ),
                cors=Cors(frozenset(_origins(environ))),
                rate_limit=_rate_limit(environ),
                proxies=_proxies(environ),
                is_closed=not config.flag(environ, "PUBLIC_BIKES", True),
            ),
            rpc_timeout=config.number(environ, "RPC_TIMEOUT", 5, 0.1, 25),
            public_url=_public_url(environ),
            gbfs=gbfs_settings.of_environment(environ),
            fares=Fares.from_environment(environ),
            stream_readers=config.whole_number(environ, "STREAM_READERS", DEFAULT_STREAM_READERS, 1, 100_000),
        )


def nameko_config(environ: Mapping[str, str]) -> dict[str, Any]:
    """Additions to the container's configuration; raises ConfigurationError."""
    settings = Settings.from_environment(environ)
    return {
        "SETTINGS": settings,
        "HTTP_POLICY": settings.policy,
        "WEB_SERVER_ADDRESS": settings.address,
        "WEB_SERVER_SOCKET_FD": settings.socket_fd,
        "max_workers": config.whole_number(environ, "MAX_WORKERS", DEFAULT_MAX_WORKERS, 1, 10_000),
    }


def _address(environ: Mapping[str, str]) -> str:
    address = config.text(environ, "GATEWAY_ADDRESS", DEFAULT_ADDRESS)
    match = ADDRESS.fullmatch(address)
    if match is None or int(match[2]) > 65535:
        raise ConfigurationError(f"GATEWAY_ADDRESS must be host:port, such as {DEFAULT_ADDRESS}, not {address!r}.")
    return address


def _socket_fd(environ: Mapping[str, str]) -> int | None:
    name = "GATEWAY_SOCKET_FD"
    return config.whole_number(environ, name, 0, 0, 1_000_000) if environ.get(name, "").strip() else None


def _public_url(environ: Mapping[str, str]) -> str | None:
    address = environ.get("PUBLIC_URL", "").strip()
    if not address:
        return None
    if not PUBLIC_URL.fullmatch(address):
        raise ConfigurationError(f"PUBLIC_URL must be a URL such as https://bikes.example.org, not {address!r}.")
    return address.rstrip("/")


def _verifier(environ: Mapping[str, str]) -> Verifier:
    audience, issuer = environ.get("JWT_AUDIENCE") or None, environ.get("JWT_ISSUER") or None
    location = environ.get("JWT_JWKS", "").strip()
    if location:
        return Verifier(_key_set(location), KeySet.algorithms, audience, issuer)
    secret = config.secret(environ, "JWT_SECRET")
    if not secret:
        raise ConfigurationError("JWT_SECRET is not set: give at least 32 random bytes, or JWT_JWKS (a file or a URL).")
    try:
        return Verifier.with_secret(secret, audience, issuer)
    except ValueError as error:
        raise ConfigurationError(f"JWT_SECRET {error}.") from None


def _key_set(location: str) -> KeySet:
    keys = KeySet(location)
    if location.startswith(("http://", "https://")):
        return keys  # The server behind it may start later than this one.
    try:
        keys.load()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"JWT_JWKS: {location} is no readable JSON Web Key Set: {error}.") from None
    return keys


def _origins(environ: Mapping[str, str]) -> list[str]:
    origins = _listed(environ, "CORS_ORIGINS")
    for origin in origins:
        if origin != "*" and not ORIGIN.fullmatch(origin):
            raise ConfigurationError(
                f"CORS_ORIGINS must be origins such as https://app.example.org, with commas between, not {origin!r}."
            )
    return origins


def _rate_limit(environ: Mapping[str, str]) -> RateLimit | None:
    text = environ.get("RATE_LIMIT", "").strip()
    if not text:
        return None
    try:
        return RateLimit(text, config.text(environ, "RATE_LIMIT_STORAGE", THIS_PROCESS))
    except UnusableStorage as error:
        raise ConfigurationError(
            f"RATE_LIMIT_STORAGE must be memory:// or a store such as redis://host:6379/0: {error}."
        ) from None
    except ValueError:
        raise ConfigurationError(f"RATE_LIMIT must be a number per time, such as 100/minute, not {text!r}.") from None


def _proxies(environ: Mapping[str, str]) -> TrustedProxies:
    try:
        return TrustedProxies(_listed(environ, "TRUSTED_PROXIES"))
    except ValueError as error:
        raise ConfigurationError(
            f"TRUSTED_PROXIES must be addresses or networks with commas between: {error}."
        ) from None


def _listed(environ: Mapping[str, str], name: str) -> list[str]:
    return [part.strip() for part in environ.get(name, "").split(",") if part.strip()]
