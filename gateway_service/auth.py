"""Who may do what: the roles of the routes, and the rules that look further than a role."""

from typing import Any

from shared.jwt import OPERATOR, RIDER, VEHICLE, Identity
from shared.problems import Problem

ONLY_OPERATORS = (OPERATOR,)
ONLY_RIDERS = (RIDER,)
RIDERS_AND_OPERATORS = (RIDER, OPERATOR)
VEHICLES_AND_OPERATORS = (VEHICLE, OPERATOR)

Viewer = dict[str, Any]


def viewer_of(identity: Identity | None) -> Viewer:
    """How bike_service is told who reads: it masks what they may not see."""
    if identity is None:
        return {"role": "anonymous", "sub": None}
    return {"role": identity.role, "sub": identity.sub}


def own_rider_id(identity: Identity | None) -> str | None:
    """The rider whose trips alone the caller may know of; None for an operator, who may know of all."""
    assert identity is not None, "trips have no public route"
    return identity.sub if identity.role == RIDER else None


def require_own_bike(identity: Identity, path: dict[str, str]) -> None:
    """Raises Problem 403 when a vehicle speaks for another bike than itself."""
    if identity.role == VEHICLE and identity.sub != path["bike_id"]:
        raise Problem(403, "A vehicle reports its own positions only.")
