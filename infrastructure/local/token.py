"""`make token`: a token for the local stack."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from infrastructure.local import settings
from infrastructure.local.errors import LocalError
from infrastructure.local.layout import Layout
from shared import jwt

LIFETIME = timedelta(hours=12)


def secret(layout: Layout, environ: Mapping[str, str]) -> str:
    """JWT_SECRET of the environment, else of the running stack, else the one the next stack will use.

    The running stack is the local one, else the one in containers; STACK_ENV names another's file.
    """
    given = environ.get("JWT_SECRET") or layout.read_running_environment(environ).get("JWT_SECRET")
    return settings.checked_secret(given, "JWT_SECRET") if given else settings.own_secret(layout.secret)


def subject(role: str, sub: str) -> str:
    """`sub`, or a subject for the role if that is empty. Raises LocalError."""
    if role not in jwt.ROLES:
        raise LocalError(f"ROLE must be one of {', '.join(jwt.ROLES)}: make token ROLE=rider [SUB=...]")
    if role != jwt.VEHICLE:
        return sub or f"local-{role}"
    try:
        return str(UUID(sub))
    except ValueError:
        raise LocalError("A vehicle's token needs its bike's UUID: make token ROLE=vehicle SUB=<bike id>") from None


def make(layout: Layout, environ: Mapping[str, str]) -> str:
    """The token for ROLE and SUB of the environment. Raises LocalError."""
    role = environ.get("ROLE", "")
    sub = subject(role, environ.get("SUB", ""))
    claims = {
        claim: environ[name] for claim, name in (("aud", "JWT_AUDIENCE"), ("iss", "JWT_ISSUER")) if environ.get(name)
    }
    try:
        return jwt.mint(secret(layout, environ), role, sub, LIFETIME, **claims)
    except ValueError as error:
        raise LocalError(str(error)) from None
