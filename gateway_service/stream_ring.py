"""What was on the stream lately, for a reader that comes back after a short disconnection.

An id is `<epoch>-<number>`: numbers grow by one, an epoch is of one process and one time without a gap, so that
another gateway, or this one after a restart, takes no id for one of its own.
"""

import re
import secrets
from collections import deque
from dataclasses import dataclass

Place = tuple[float, float]
"""Longitude and latitude in degrees."""
Box = tuple[float, float, float, float]
"""West, south, east and north in degrees; west > east spans the 180° meridian."""

MAX_BYTES = 8 << 20
# What an item takes beside its bytes.
OVERHEAD = 200
ID = re.compile(r"([0-9a-f]{16})-(\d{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Item:
    """One event as bytes; `place`: where its bike is, `before`: where readers have seen it last, None: nowhere."""

    raw: bytes
    place: Place | None = None
    before: Place | None = None

    def is_in(self, box: Box | None) -> bool:
        """Whether a reader of `box` gets it: also when the bike has left the box with it."""
        return box is None or is_within(self.place, box) or is_within(self.before, box)


def is_within(place: Place | None, box: Box) -> bool:
    if place is None:
        return False
    west, south, east, north = box
    if not south <= place[1] <= north:
        return False
    return west <= place[0] <= east if west <= east else place[0] >= west or place[0] <= east


def batch(items: "list[Item] | deque[Item]", box: Box | None) -> bytes:
    """What a reader of `box` gets of `items`."""
    return b"".join([item.raw for item in items if item.is_in(box)])


class Ring:
    """The items of the last ids, up to 8 MiB."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._size = 0
        self.forget()

    def forget(self) -> None:
        """Begin anew: what came before leads nowhere."""
        self._epoch = secrets.token_hex(8)
        self._newest = 0
        self._items.clear()
        self._size = 0

    @property
    def newest_id(self) -> str:
        return self.id_of(self._newest)

    def id_of(self, number: int) -> str:
        return f"{self._epoch}-{number}"

    @property
    def next_id(self) -> str:
        """Of the item that is added next."""
        return self.id_of(self._newest + 1)

    def add(self, item: Item) -> None:
        self._newest += 1
        self._items.append(item)
        self._size += len(item.raw) + OVERHEAD
        while self._size > MAX_BYTES:
            self._size -= len(self._items.popleft().raw) + OVERHEAD

    def since(self, event_id: str) -> list[Item] | None:
        """The items after the one of `event_id`; None when they are not all known."""
        match = ID.fullmatch(event_id)
        if match is None or match[1] != self._epoch:
            return None
        missed = self._newest - int(match[2])
        if not 0 <= missed <= len(self._items):
            return None
        return list(self._items)[len(self._items) - missed :]
