"""The public fleet as this process knows it: rows, events and positions in, the bikes of the feed out. No I/O.

Order is not promised by anybody: of a bike's state the highest revision counts, of its places the newest. What is known
of a bike that the feed does not have (in use, or not fetched yet) is kept for when it is back.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple

from shared.moves import Move

PUBLIC_STATUSES = frozenset({"available", "reserved", "out_of_service"})
Encode = Callable[["Bike"], bytes]


NEVER = float("-inf")
# Bikes in use, and such as have gone since.
MAX_HEARD = 500_000


class Spot(NamedTuple):
    """Place and charge (per cent), each with its time in seconds since 1970, or NEVER."""

    at: float
    longitude: float | None
    latitude: float | None
    charge: float | None
    charged_at: float


class Bike:
    """One bike of the feed; `text`: what it is in the feed, None until it is asked for after a change."""

    __slots__ = ("id", "revision", "spot", "status", "text", "type_id", "vehicle_id")

    def __init__(self, row: Sequence[Any]) -> None:
        """`row`: as `bike_service.feed` has it."""
        self.id, self.revision, self.status, self.vehicle_id, self.type_id, *spot = row
        longitude, latitude, at, charge, since = spot
        self.spot = Spot(NEVER if at is None else at, longitude, latitude, charge, NEVER if since is None else since)
        self.text: bytes | None = None

    def encoded(self, encode: Encode) -> bytes:
        """The text, made by `encode` when there is none."""
        if self.text is None:
            self.text = encode(self)
        return self.text


class FleetView:
    """`version` grows with each change of what the feed shows."""

    def __init__(self) -> None:
        self.version = 0
        self._bikes: dict[str, Bike] = {}
        self._revisions: dict[str, int] = {}
        # In two generations, so that what nobody needs any more goes.
        self._heard: dict[str, Spot] = {}
        self._heard_before: dict[str, Spot] = {}
        self._order: list[Bike] = []
        self._ordered_version = self._members_version = 0

    def __len__(self) -> int:
        return len(self._bikes)

    def merge(self, rows: Iterable[Sequence[Any]]) -> set[str]:
        """Take over what bike_service says of bikes; returns their ids."""
        found = set()
        for row in rows:
            bike_id, revision = row[0], row[1]
            found.add(bike_id)
            if revision < self._revisions.get(bike_id, 0):
                continue
            self._revisions[bike_id] = revision
            self._put(Bike(row))
        return found

    def _put(self, new: Bike) -> None:
        old = self._bikes.get(new.id)
        for known in (None if old is None else old.spot, self._heard.get(new.id), self._heard_before.get(new.id)):
            if known is not None:
                new.spot = newer(new.spot, known)
        if old is not None and old.vehicle_id == new.vehicle_id:
            if (old.status, old.type_id, old.spot) == (new.status, new.type_id, new.spot):
                old.revision = new.revision
                return
            old.status, old.type_id, old.spot, old.revision = new.status, new.type_id, new.spot, new.revision
            old.text = None
        else:
            self._bikes[new.id] = new
            self._members_version += 1
        self.version += 1

    def forget(self, ids: Iterable[str]) -> None:
        """These are not in the feed."""
        for bike_id in ids:
            if self._bikes.pop(bike_id, None) is not None:
                self.version += 1
                self._members_version += 1

    def keep_only(self, ids: set[str]) -> None:
        """No others are in the feed."""
        self.forget(self._bikes.keys() - ids)
        # Whoever is heard of late is fetched again, which is the truth all the same.
        for bike_id in self._revisions.keys() - ids:
            del self._revisions[bike_id]

    def hear_of_change(self, bike_id: str, revision: int, status: str) -> bool:
        """A bike has changed; returns whether it has to be fetched. One that nobody may see any more goes at once."""
        if revision <= self._revisions.get(bike_id, 0):
            return False
        self._revisions[bike_id] = revision
        if status in PUBLIC_STATUSES:
            return True
        self.forget([bike_id])
        return False

    def hear_positions(self, positions: Iterable[Move], moves: bool = True) -> None:
        """Good positions, as `shared.listener` has them; without `moves` they show when the bike is fetched again."""
        for position in positions:
            bike_id = position["bike_id"]
            longitude, latitude = position["location"]["coordinates"]
            at, charge = datetime.fromisoformat(position["recorded_at"]).timestamp(), position.get("battery_percent")
            spot = Spot(at, longitude, latitude, charge, NEVER if charge is None else at)
            known = self._heard.get(bike_id)
            if known is not None or len(self._heard) < MAX_HEARD:
                self._heard[bike_id] = spot if known is None else newer(known, spot)
            bike = self._bikes.get(bike_id) if moves else None
            if bike is not None:
                moved = newer(bike.spot, spot)
                if moved is not bike.spot:
                    bike.spot, bike.text = moved, None
                    self.version += 1

    def age_heard(self) -> None:
        """Let go of what was heard before the last call of this."""
        self._heard_before, self._heard = self._heard, {}

    def in_order(self) -> list[Bike]:
        """The bikes by their public ids, which says nothing of which is which."""
        if self._ordered_version != self._members_version:
            kept = [bike for bike in self._order if self._bikes.get(bike.id) is bike]
            if len(kept) < len(self._bikes):
                old = set(map(attrgetter("vehicle_id"), kept))
                kept += [bike for bike in self._bikes.values() if bike.vehicle_id not in old]
            # Mostly in order already, which sorting makes use of.
            kept.sort(key=attrgetter("vehicle_id"))
            self._order, self._ordered_version = kept, self._members_version
        return self._order


def newer(known: Spot, other: Spot) -> Spot:
    """`known` with what is newer of `other`: its place, its charge, or both; `known` itself when there is nothing."""
    has_place, has_charge = other.at > known.at, other.charged_at > known.charged_at
    if not has_place and not has_charge:
        return known
    place, charge = other if has_place else known, other if has_charge else known
    return Spot(place.at, place.longitude, place.latitude, charge.charge, charge.charged_at)
