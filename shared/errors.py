"""Domain errors: they cross RPC as themselves, and the gateway maps each to one HTTP status.

Nameko rebuilds an exception at the caller only when its class is registered there, so a caller imports this
module (every service does; the nameko shell through `make shell`). Whoever does not sees a `RemoteError` with
the class name and the detail.
"""

from typing import Any

from nameko.exceptions import deserialize_to_instance


class DomainError(Exception):
    """An answer that is not a success, but no defect either.

    `detail`: a sentence for the caller. `extra`: JSON-safe additions; known keys are `errors` (field path to
    list of messages), `retry_after` (seconds) and `replayed` (the answer was kept from an earlier call).
    """

    def __init__(self, detail: str = "", extra: dict[str, Any] | None = None) -> None:
        # Nameko serialises `args` as they are, with every leaf turned into a string.
        super().__init__(detail, extra or {})
        self.detail = detail
        self.extra = dict(extra or {})

    def __str__(self) -> str:
        return self.detail

    @property
    def errors(self) -> dict[str, list[str]]:
        """Field path (`location.coordinates`, `positions.3.recorded_at`) to messages."""
        return dict(self.extra.get("errors") or {})

    @property
    def retry_after(self) -> int | None:
        """Seconds after which the same call may succeed, if known."""
        value = self.extra.get("retry_after")
        return None if value is None else int(value)

    @property
    def replayed(self) -> bool:
        """True when this is the kept answer to an earlier call with the same idempotency key."""
        return str(self.extra.get("replayed", "")).lower() == "true"


@deserialize_to_instance
class Invalid(DomainError):
    """The input is well-formed but breaks a rule (HTTP 422)."""


@deserialize_to_instance
class NotFound(DomainError):
    """No such thing, or none that this caller may know of (HTTP 404)."""


@deserialize_to_instance
class Conflict(DomainError):
    """The state forbids it (HTTP 409)."""


@deserialize_to_instance
class Unavailable(DomainError):
    """The broker, a service or a database is away; nothing is known to be wrong with the call (HTTP 503)."""


@deserialize_to_instance
class DeadlineExceeded(DomainError):
    """The callee did not answer in time; whether it acted is unknown (HTTP 504)."""
