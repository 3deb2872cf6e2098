"""Where an event is shown, and what a reader that comes back is given."""

import pytest

from gateway_service import stream_ring
from gateway_service.stream_ring import Item, Ring, batch, is_within

BOX = (8.0, 47.0, 9.0, 48.0)
OVER_THE_MERIDIAN = (179.0, -1.0, -179.0, 1.0)


def ring_of(*texts: str) -> Ring:
    ring = Ring()
    for text in texts:
        ring.add(Item(text.encode()))
    return ring


@pytest.mark.parametrize(
    ("place", "box", "is_in"),
    [
        ((8.5, 47.5), BOX, True),
        ((8.0, 47.0), BOX, True),
        ((9.0, 48.0), BOX, True),
        ((9.1, 47.5), BOX, False),
        ((8.5, 46.9), BOX, False),
        (None, BOX, False),
        ((179.5, 0.0), OVER_THE_MERIDIAN, True),
        ((-179.5, 0.0), OVER_THE_MERIDIAN, True),
        ((0.0, 0.0), OVER_THE_MERIDIAN, False),
        ((179.5, 2.0), OVER_THE_MERIDIAN, False),
    ],
)
def test_a_box_has_its_edges_and_may_span_the_meridian(place, box, is_in):
    assert is_within(place, box) == is_in


def test_a_reader_gets_what_is_in_its_box_and_what_leaves_it():
    inside, outside = (8.5, 47.5), (1.0, 1.0)
    items = [
        Item(b"in ", inside),
        Item(b"out ", outside),
        Item(b"left ", outside, inside),
        Item(b"gone ", None, inside),
    ]
    assert batch(items, BOX) == b"in left gone "
    assert batch(items, None) == b"in out left gone "


def test_each_item_has_the_next_id():
    ring = ring_of("a")
    following = ring.next_id
    ring.add(Item(b"b"))
    assert ring.newest_id == following
    assert following.endswith("-2")


def test_since_an_id_are_the_items_after_it():
    ring = ring_of("a")
    known = ring.newest_id
    ring.add(Item(b"b"))
    ring.add(Item(b"c"))
    missed = ring.since(known)
    assert missed is not None
    assert [item.raw for item in missed] == [b"b", b"c"]
    assert ring.since(ring.newest_id) == []


@pytest.mark.parametrize("event_id", ["", "x", "-1", "0123456789abcdef-0", "0123456789abcdef-\u0661"])
def test_what_is_no_id_of_this_ring_is_unknown(event_id):
    assert ring_of("a").since(event_id) is None


def test_an_id_that_was_not_given_yet_is_unknown():
    ring = ring_of("a")
    assert ring.since(ring.next_id) is None


def test_no_two_rings_take_each_others_ids_and_no_ring_its_own_of_before_a_gap():
    one, other = ring_of("a"), ring_of("a")
    assert other.since(one.newest_id) is None
    before = one.newest_id
    one.forget()
    assert one.since(before) is None
    assert one.since(one.newest_id) == []


def test_it_keeps_no_more_than_its_bytes(monkeypatch):
    monkeypatch.setattr(stream_ring, "MAX_BYTES", 10 * (stream_ring.OVERHEAD + 1))
    ring = ring_of()
    ids = []
    for _ in range(100):
        ids.append(ring.newest_id)
        ring.add(Item(b"x"))
    assert ring.since(ids[0]) is None
    assert ring.since(ids[89]) is None
    assert len(ring.since(ids[90]) or ()) == 10
