"""From what is heard to what is shown: names and data, thinning, and where a bike was before."""

import json
from typing import Any

import pytest

from gateway_service import stream_trips
from gateway_service.stream_feed import Feed, place_of
from gateway_service.stream_ring import Item, Ring

BIKE, TRIP = "b6b1e0b4-0c1a-4c53-9d3b-2f0a0a7a0001", "7f1e0b44-0c1a-4c53-9d3b-2f0a0a7a0002"


def point(longitude: float) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [longitude, 47.0]}


def at(second: float, longitude: float = 8.0, bike_id: str = BIKE) -> Any:
    fraction = f".{round(second % 1 * 1e6):06d}" if second % 1 else ""
    time = f"2026-05-01T12:00:{int(second):02d}{fraction}"
    return {"bike_id": bike_id, "recorded_at": time + "Z", "location": point(longitude)}


def told(items: list[Item]) -> list[tuple[str, Any]]:
    found = []
    for item in items:
        fields = dict(line.split(b": ", 1) for line in item.raw.splitlines() if line)
        found.append((fields[b"event"].decode(), json.loads(fields[b"data"])))
    return found


@pytest.fixture
def ring() -> Ring:
    return Ring()


@pytest.fixture
def feed(ring: Ring) -> Feed:
    feed = Feed(ring)
    feed.wanted = True
    return feed


def trip(feed: Feed, status: str, trip_id: str = TRIP) -> None:
    kind = "trip_started" if status == "active" else f"trip_{status}"
    feed.on_event(kind, {"data": {"id": trip_id, "bike_id": BIKE, "status": status, "revision": 1}})


def bike(feed: Feed, **more: Any) -> None:
    feed.on_event("bike_changed", {"data": {"id": BIKE, "revision": 2, "status": "available", **more}})


def test_changes_are_told_whole_and_in_their_order(feed: Feed, ring: Ring):
    bike(feed, name="Ödön\n")
    trip(feed, "active")
    items = feed.flush(with_positions=False)
    assert [name for name, _ in told(items)] == ["bike", "trip"]
    assert told(items)[0][1] == {"id": BIKE, "revision": 2, "status": "available", "name": "Ödön\n"}
    assert [item.raw.splitlines()[1].decode() for item in items] == [f"id: {ring.id_of(1)}", f"id: {ring.id_of(2)}"]
    assert feed.flush(with_positions=True) == []


def test_of_a_bikes_positions_only_the_newest_is_told(feed: Feed):
    other = "b6b1e0b4-0c1a-4c53-9d3b-2f0a0a7a0009"
    feed.on_moves([at(1), at(3, 8.3), at(2), at(1, 9.0, other)])
    feed.on_moves([at(2.5)])
    assert feed.flush(with_positions=False) == []
    assert told(feed.flush(with_positions=True)) == [("position", at(3, 8.3)), ("position", at(1, 9.0, other))]
    feed.on_moves([at(3), at(2)])
    assert feed.flush(with_positions=True) == []


def test_fractions_of_a_second_are_after_the_whole_one(feed: Feed):
    feed.on_moves([at(1.5), at(1)])
    assert told(feed.flush(with_positions=True)) == [("position", at(1.5))]
    feed.on_moves([at(1)])
    assert feed.flush(with_positions=True) == []


def test_an_item_knows_where_readers_have_seen_the_bike_before(feed: Feed):
    bike(feed, location=point(8.0), located_at="2026-05-01T12:00:00Z")
    feed.on_moves([at(1, 8.1), at(2, 8.2)])
    items = feed.flush(with_positions=True)
    assert [(item.before, item.place) for item in items] == [(None, (8.0, 47.0)), ((8.0, 47.0), (8.2, 47.0))]
    bike(feed, location=point(8.0), located_at="2026-05-01T12:00:00Z")
    bike(feed, location=None, status="in_use")
    bike(feed, location=point(8.3), status="retired", located_at="2026-05-01T12:00:09Z")
    bike(feed, location=None, status="retired")
    known = (8.2, 47.0)
    places = [(item.before, item.place) for item in feed.flush(with_positions=False)]
    assert places == [(known, known), (known, None), (known, (8.3, 47.0)), (None, None)]


def test_a_trip_is_where_its_bike_is(feed: Feed):
    data = {"id": TRIP, "bike_id": BIKE, "status": "active", "revision": 1}
    feed.on_event("trip_started", {"data": data})
    feed.on_event("trip_started", {"data": {**data, "start_location": point(8.0)}})
    feed.on_event("trip_ended", {"data": {**data, "start_location": point(8.0), "end_location": point(8.5)}})
    feed.on_moves([at(1, 8.1)])
    feed.flush(with_positions=True)
    feed.on_event("trip_started", {"data": {**data, "start_location": point(8.0)}})
    assert [item.place for item in feed.flush(False)] == [(8.1, 47.0)]


def test_a_position_names_the_trip_that_the_bike_is_in(feed: Feed):
    trip(feed, "active")
    feed.on_moves([at(1)])
    assert told(feed.flush(with_positions=True))[1] == ("position", {**at(1), "trip_id": TRIP})
    trip(feed, "ended", "another")
    feed.on_moves([at(2)])
    assert told(feed.flush(with_positions=True))[1][1]["trip_id"] == TRIP
    trip(feed, "cancelled")
    feed.on_moves([at(3)])
    assert told(feed.flush(with_positions=True))[1] == ("position", at(3))


def test_a_start_that_is_heard_after_its_end_starts_nothing(feed: Feed, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stream_trips, "ENDED_TRIPS", 2)
    trip(feed, "ended", "first")
    trip(feed, "ended")
    trip(feed, "ended", "third")
    trip(feed, "active")
    feed.on_moves([at(1)])
    assert "trip_id" not in told(feed.flush(with_positions=True))[-1][1]
    trip(feed, "active", "first")  # forgotten: no more than so many are kept
    feed.on_moves([at(2)])
    assert told(feed.flush(with_positions=True))[-1][1]["trip_id"] == "first"


def test_while_nobody_wants_it_only_trips_are_kept(feed: Feed, ring: Ring):
    feed.wanted = False
    trip(feed, "active")
    bike(feed)
    feed.on_moves([at(1)])
    assert feed.flush(with_positions=True) == []
    feed.wanted = True
    feed.on_moves([at(1)])
    assert told(feed.flush(with_positions=True)) == [("position", {**at(1), "trip_id": TRIP})]


def test_after_a_gap_nothing_of_before_counts(feed: Feed, ring: Ring):
    trip(feed, "active")
    feed.on_moves([at(5)])
    feed.flush(with_positions=True)
    feed.on_moves([at(6)])
    before = ring.newest_id
    feed.forget()
    assert ring.since(before) is None
    feed.on_moves([at(1)])
    items = feed.flush(with_positions=True)
    assert told(items) == [("position", at(1))]
    assert items[0].before is None


def test_a_reset_has_the_newest_id(feed: Feed, ring: Ring):
    bike(feed)
    feed.flush(with_positions=False)
    assert feed.reset("gap") == f'event: reset\nid: {ring.id_of(1)}\ndata: {{"reason":"gap"}}\n\n'.encode()


@pytest.mark.parametrize("location", [None, {}, [], {"coordinates": None}, {"coordinates": [1]}, {"coordinates": "xy"}])
def test_what_is_no_point_is_nowhere(location: Any):
    assert place_of(location) is None
