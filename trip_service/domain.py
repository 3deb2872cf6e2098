"""The rules of a ride."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum


class Status(StrEnum):
    """What a trip can be; `void` is the tombstone of a start that came too late, and is shown to nobody."""

    ACTIVE = "active"
    ENDED = "ended"
    CANCELLED = "cancelled"
    VOID = "void"


class EndedBy(StrEnum):
    """Who ended a trip."""

    RIDER = "rider"
    OPERATOR = "operator"
    SYSTEM = "system"


@dataclass(frozen=True)
class Tariff:
    """A fee for unlocking, and one for each started minute."""

    unlock: Decimal
    per_minute: Decimal
    currency: str

    def fare(self, duration_s: int) -> Decimal:
        """The price of a trip of so many seconds."""
        started_minutes = -(-duration_s // 60)
        return self.unlock + self.per_minute * started_minutes


def duration_s(started_at: datetime, ended_at: datetime) -> int:
    """Whole seconds, a started one counting, so that the fare follows from the duration shown."""
    return max(0, -((started_at - ended_at) // timedelta(seconds=1)))


def refusal_to_end(status: str) -> str | None:
    """Why a trip of this status cannot be ended, or None."""
    return "The trip was cancelled." if status == Status.CANCELLED else None


def refusal_to_cancel(status: str) -> str | None:
    """Why a trip of this status cannot be cancelled, or None."""
    return "The trip has ended." if status == Status.ENDED else None
