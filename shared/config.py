"""Reading settings from the environment; whatever is wrong is said in one sentence before anything starts."""

import logging
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from urllib.parse import urlsplit

MAX_PORT = 65535
HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


class ConfigurationError(Exception):
    """A setting is missing or wrong; the message names it and says what it takes."""


def text(environ: Mapping[str, str], name: str, default: str | None = None) -> str:
    """The setting, or `default`; raises ConfigurationError when neither is there."""
    value = environ.get(name, "").strip() or default
    if value is None:
        raise ConfigurationError(f"{name} is not set.")
    return value


def secret(environ: Mapping[str, str], name: str) -> str:
    """The setting, or what the file holds that `<name>_FILE` names; empty when there is neither.

    Raises ConfigurationError when both are there, or the file cannot be read.
    """
    value, file = environ.get(name, "").strip(), environ.get(f"{name}_FILE", "").strip()
    if not file:
        return value
    if value:
        raise ConfigurationError(f"{name} and {name}_FILE are both set: only one can be meant.")
    try:
        value = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigurationError(f"{name}_FILE: {file!r} cannot be read: {reason}.") from None
    if not value:
        raise ConfigurationError(f"{name}_FILE: {file!r} is empty.")
    return value


def flag(environ: Mapping[str, str], name: str, default: bool) -> bool:
    """`true` or `false`."""
    raw = text(environ, name, str(default).lower())
    if raw.lower() not in ("true", "false"):
        raise ConfigurationError(f"{name} must be true or false, not {raw!r}.")
    return raw.lower() == "true"


def number(environ: Mapping[str, str], name: str, default: float, minimum: float, maximum: float) -> float:
    """A decimal number within [minimum, maximum]."""
    raw = text(environ, name, str(default))
    try:
        value = float(raw)
    except ValueError:
        value = float("nan")
    if not minimum <= value <= maximum:
        raise ConfigurationError(f"{name} must be a number from {minimum:g} to {maximum:g}, not {raw!r}.")
    return value


def whole_number(environ: Mapping[str, str], name: str, default: int, minimum: int, maximum: int) -> int:
    """An integer within [minimum, maximum]."""
    value = number(environ, name, default, minimum, maximum)
    if value != int(value):
        raise ConfigurationError(f"{name} must be a whole number, not {value:g}.")
    return int(value)


def money(environ: Mapping[str, str], name: str, default: str) -> Decimal:
    """A non-negative amount with at most two decimals."""
    raw = text(environ, name, default)
    try:
        amount = Decimal(raw)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not (amount.is_finite() and 0 <= amount < 1_000_000) or amount != round(amount, 2):
        raise ConfigurationError(f"{name} must be an amount of money such as 1.00, not {raw!r}.")
    return round(amount, 2)


def url(environ: Mapping[str, str], name: str, schemes: tuple[str, ...]) -> str:
    """A URL of one of `schemes` with a host, or a `<name>_FILE` with it.

    The value itself is never shown, it may hold a password.
    """
    value = secret(environ, name)
    if not value:
        raise ConfigurationError(f"{name} is not set.")
    try:
        parts = urlsplit(value)
        correct = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        correct = False
    if not correct:
        raise ConfigurationError(f"{name} must be a URL that starts with {' or '.join(s + '://' for s in schemes)}.")
    return value


def address(environ: Mapping[str, str], name: str, example: str) -> tuple[str, int]:
    """`host:port`, an IPv6 host in brackets; raises ConfigurationError, which shows `example`."""
    value = text(environ, name)
    host, colon, port = value.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif not HOST.fullmatch(host):
        host = ""
    if not (colon and host and port.isascii() and port.isdigit() and 1 <= int(port) <= MAX_PORT):
        raise ConfigurationError(f"{name} must be host:port, such as {example}, not {value!r}.")
    return host, int(port)


def amqp_uri(environ: Mapping[str, str]) -> str:
    """`AMQP_URI`, the broker."""
    return url(environ, "AMQP_URI", ("amqp", "amqps", "pyamqp"))


def database_url(environ: Mapping[str, str], name: str) -> str:
    """A PostgreSQL URL, for SQLAlchemy with psycopg2."""
    value = url(environ, name, ("postgresql", "postgres", "postgresql+psycopg2"))
    return "postgresql+psycopg2://" + value.split("://", 1)[1]


def log_level(environ: Mapping[str, str]) -> str:
    """`LOG_LEVEL`."""
    level = text(environ, "LOG_LEVEL", "INFO").upper()
    if level not in logging.getLevelNamesMapping():
        raise ConfigurationError(f"LOG_LEVEL must be a level such as INFO, not {level!r}.")
    return level
