"""The rules of the fleet."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """What a bike can be (see the contract)."""

    AVAILABLE = "available"
    RESERVED = "reserved"
    IN_USE = "in_use"
    OUT_OF_SERVICE = "out_of_service"
    RETIRED = "retired"


def refusal_to_check_out(status: str) -> str | None:
    """Why a bike of this status cannot be rented, or None."""
    return None if status == Status.AVAILABLE else f"The bike is {status.replace('_', ' ')}."


def refusal_to_change(status: str) -> str | None:
    """Why an operator may not change a bike of this status, or None."""
    if status == Status.IN_USE:
        return "The bike is in use."
    if status == Status.RETIRED:
        return "The bike is retired."
    return None


def refusal_to_retire(status: str) -> str | None:
    """Why a bike of this status cannot be retired, or None."""
    return "The bike is in use." if status == Status.IN_USE else None


@dataclass(frozen=True)
class Viewer:
    """Who looks at the fleet; what is not in a public or other rider's reach is masked.

    `role` is None for a trusted caller, else a role of the contract or `anonymous`; `sub` its subject.
    """

    role: str | None = None
    sub: str | None = None

    @property
    def sees_all(self) -> bool:
        return self.role in (None, "operator")

    def sees_location(self, bike_id: str, status: str, rider_id: str | None) -> bool:
        """A bike in use shows where its rider is: only that rider, the bike itself and operators may know."""
        if self.sees_all or status != Status.IN_USE:
            return True
        if self.role == "rider":
            return self.sub is not None and self.sub == rider_id
        return self.role == "vehicle" and self.sub == bike_id


def changes(wanted: dict[str, Any], bike: Any) -> dict[str, Any]:
    """Which of the wanted values differ from the bike's own."""
    return {name: value for name, value in wanted.items() if value != getattr(bike, name)}
