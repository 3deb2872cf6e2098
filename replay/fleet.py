"""The bikes of a file in the system: found by name, added where missing, and made free to rent."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

from replay.client import OPERATOR, ApiError, Gateway
from replay.source import Ride

VALLEYBIKE = "ValleyBike"
# longitude and latitude in degrees
Place = tuple[float, float]
BATCH_SIZE = 1000
ADD_ATTEMPTS = 3
# the system itself puts a bike without its trip right within 30 s
FREE_WITHIN_S = 45.0
POLL_S = 0.25


class FleetError(Exception):
    """A bike of the file cannot be had; the text says which and why."""


def prepare(gateway: Gateway, rides: list[Ride]) -> dict[str, str]:
    """The system's bike id of every bike of the rides; each of them can be rented.

    Adds those that are missing, where their first ride begins. Ends trips that an earlier replay left active.
    Raises FleetError, and what Gateway.call raises.
    """
    return ready(gateway, first_places(rides), VALLEYBIKE)


def first_places(rides: list[Ride]) -> dict[str, Place | None]:
    """Where the first ride of each bike begins."""
    places: dict[str, Place | None] = {}
    for ride in sorted(rides, key=lambda ride: ride.began_ns):
        places.setdefault(ride.bike, ride.reports[0][1:] if ride.reports else None)
    return places


def ready(gateway: Gateway, places: Mapping[str, Place | None], family: str) -> dict[str, str]:
    """The system's bike id of every bike of a family, each of which can be rented; as `prepare`, for any bikes."""
    bikes = _found_or_added(gateway, places, family)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda bike: release(gateway, bike), bikes.values()))
    return {source: bike["id"] for source, bike in bikes.items()}


def release(gateway: Gateway, bike: dict[str, Any]) -> None:
    """Makes a bike available: cancels its active trips, puts it back into service. Raises FleetError."""
    deadline = time.monotonic() + FREE_WITHIN_S
    while bike["status"] != "available":
        if time.monotonic() > deadline:
            raise FleetError(f"bike {bike['name']!r} ({bike['id']}) stays {bike['status']} for {FREE_WITHIN_S:.0f} s")
        if bike["status"] == "out_of_service":
            _unless_changed(gateway, "PATCH", f"/v1/bikes/{bike['id']}", {"status": "available"})
        for trip in gateway.walk("/v1/trips", {"bike_id": bike["id"], "status": "active"}):
            _unless_changed(gateway, "POST", f"/v1/trips/{trip['id']}/cancel")
        gateway.pause(POLL_S)
        bike = gateway.get(f"/v1/bikes/{bike['id']}", OPERATOR)


def free_name(source: str, taken: Mapping[str, str], family: str = VALLEYBIKE) -> str:
    """The name for a bike: numbered when retired bikes hold the plain one. `taken`: status by name."""
    plain = f"{family} {source}"
    return next(
        name
        for number in count(1)
        if taken.get(name := plain if number == 1 else f"{plain} ({number})", "available") != "retired"
    )


def _found_or_added(gateway: Gateway, places: Mapping[str, Place | None], family: str) -> dict[str, dict[str, Any]]:
    attempt = 0
    while True:
        attempt += 1
        known = {bike["name"]: bike for bike in gateway.walk("/v1/bikes", {"status": "retired"})}
        known |= {bike["name"]: bike for bike in gateway.walk("/v1/bikes", {})}
        statuses = {name: bike["status"] for name, bike in known.items()}
        names = {source: free_name(source, statuses, family) for source in places}
        missing = [source for source, name in names.items() if name not in known]
        if not missing:
            return {source: known[name] for source, name in names.items()}
        try:
            for start in range(0, len(missing), BATCH_SIZE):
                rows = [_row(names[source], places[source]) for source in missing[start : start + BATCH_SIZE]]
                gateway.post("/v1/bikes/batch", OPERATOR, {"bikes": rows})
        except ApiError as error:
            # added meanwhile by another replay, or by an attempt of this one whose answer was lost: look again
            if error.status not in (409, 422) or attempt == ADD_ATTEMPTS:
                raise


def _row(name: str, place: Place | None) -> dict[str, Any]:
    if place is None:
        return {"name": name}
    return {"name": name, "location": {"type": "Point", "coordinates": list(place)}}


def _unless_changed(gateway: Gateway, method: str, path: str, body: object = None) -> None:
    try:
        gateway.call(method, path, OPERATOR, body=body)
    except ApiError as error:
        if error.status != 409:  # a conflict means that the state has just changed: the caller looks again
            raise
