"""The active trips after a gap: listed, while events go on."""

from typing import Any

import pytest

from gateway_service import stream_trips
from gateway_service.stream_trips import ActiveTrips
from shared.errors import Unavailable


def active(number: int) -> dict[str, Any]:
    return {"id": f"trip {number}", "bike_id": f"bike {number}", "status": "active"}


def test_all_pages_are_taken():
    trips, asked = ActiveTrips(), []

    def list_page(cursor: str | None) -> dict[str, Any]:
        asked.append(cursor)
        number = len(asked)
        return {"items": [active(number)], "next": f"page {number + 1}" if number < 3 else None}

    trips.load(list_page)
    assert asked == [None, "page 2", "page 3"]
    assert [trips.of(f"bike {number}") for number in (1, 2, 3, 4)] == ["trip 1", "trip 2", "trip 3", None]


def test_what_has_ended_while_they_were_listed_is_not_taken_for_active():
    trips = ActiveTrips()

    def list_page(cursor: str | None) -> dict[str, Any]:
        trips.note({**active(1), "status": "ended"})
        return {"items": [active(1)], "next": None}

    trips.load(list_page)
    assert trips.of("bike 1") is None


def test_it_is_tried_again_while_the_service_is_away(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stream_trips, "AGAIN_S", 0)
    trips, failures = ActiveTrips(), [Unavailable("trip_service is away.")] * 3

    def list_page(cursor: str | None) -> dict[str, Any]:
        if failures:
            raise failures.pop()
        return {"items": [active(1)], "next": None}

    trips.load(list_page)
    assert not failures
    assert trips.of("bike 1") == "trip 1"


def test_another_gap_ends_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stream_trips, "AGAIN_S", 0)
    trips = ActiveTrips()

    def list_page(cursor: str | None) -> dict[str, Any]:
        trips.forget()
        return {"items": [active(1)], "next": "more"}

    trips.load(list_page)
    assert trips.of("bike 1") is None
