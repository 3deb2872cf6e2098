"""How tokens are verified, read from the environment: JWT_SECRET or JWT_JWKS, JWT_AUDIENCE, JWT_ISSUER."""

from collections.abc import Mapping

from shared import config
from shared.config import ConfigurationError
from shared.jwks import KeySet
from shared.jwt import Verifier


def verifier(environ: Mapping[str, str]) -> Verifier:
    """Raises ConfigurationError with a sentence that names the variable."""
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
