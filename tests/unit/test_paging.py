import base64
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Invalid
from shared.fields import canonical_uuid, format_time, parse_time
from shared.paging import decode_cursor, encode_cursor, page

ID = "0b6c1f2e-9d3a-4c57-8f10-a1b2c3d4e5f6"
TIME = "2026-05-01T12:00:00Z"
keys = st.tuples(st.datetimes(timezones=st.just(UTC)), st.uuids().map(str))


def packed(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@given(keys)
def test_a_cursor_gives_its_key_back(key: tuple[datetime, str]) -> None:
    cursor = encode_cursor(format_time(key[0]), key[1])
    assert decode_cursor(cursor, parse_time, canonical_uuid) == key


@given(st.lists(st.text(st.sampled_from("a?>~\xff🚲\x00"), max_size=4), max_size=3))
def test_a_cursor_can_stand_in_a_url_whatever_it_holds(key: list[str]) -> None:
    cursor = encode_cursor(*key)
    assert re.fullmatch("[A-Za-z0-9_-]+", cursor)
    assert decode_cursor(cursor, *[str] * len(key)) == tuple(key)


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "garbage",
        "A",
        "====",
        "null",
        "    " + encode_cursor(ID),
        "!!!!" + encode_cursor(ID),
        encode_cursor(ID) + "\n",
        encode_cursor(ID) + "!",
        "ü" + encode_cursor(ID),
        "\ud800",
        "\x00",
        pytest.param("9" * 100_000, id="huge"),
        ID,
        packed("not JSON"),
        packed([]),
        packed([ID, ID]),
        packed([[ID]]),
        packed([None]),
        packed([5]),
        packed([True]),
        packed([""]),
        packed([ID + "'; --"]),
        packed(ID),
        packed({"0": ID}),
        packed(5),
        packed("null"),
        packed("NaN"),
        pytest.param(packed("[" * 100_000), id="deep"),
        pytest.param(packed("[" + "9" * 5000 + "]"), id="5000 digits"),
        packed('["\\ud800"]'),
        base64.urlsafe_b64encode(b"\xff\xfe\xfd").decode(),
        encode_cursor(TIME, ID),
    ],
)
def test_what_encode_cursor_has_not_made_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid) as refused:
        decode_cursor(cursor, canonical_uuid)
    assert refused.value.errors == {"cursor": ["Not a valid cursor."]}


@pytest.mark.parametrize("key", [[ID, TIME], [TIME], [TIME, ID, ID], [TIME, "x"], ["x", ID], [5, ID], [None, None]])
def test_each_part_of_a_key_goes_through_its_reader(key: list[Any]) -> None:
    with pytest.raises(Invalid):
        decode_cursor(packed(key), parse_time, canonical_uuid)


@pytest.mark.parametrize(
    ("rows", "limit", "shown", "more"),
    [
        ([], 3, [], False),
        (["a"], 3, ["a"], False),
        (["a", "b", "c"], 3, ["a", "b", "c"], False),
        (["a", "b", "c", "d"], 3, ["a", "b", "c"], True),
        (["a", "b"], 1, ["a"], True),
    ],
)
def test_a_page_leads_on_only_when_something_follows(rows: list[str], limit: int, shown: list[str], more: bool) -> None:
    assert page(rows, limit, lambda row: (row,)) == (shown, encode_cursor(shown[-1]) if more else None)


@given(st.sets(keys, max_size=12), st.integers(1, 5))
def test_a_walk_sees_every_item_once_in_order(items: set[tuple[datetime, str]], limit: int) -> None:
    seen: list[tuple[datetime, str]] = []
    after: tuple[Any, ...] | None = None
    while True:
        rows = sorted(item for item in items if after is None or item > after)[: limit + 1]
        shown, cursor = page(rows, limit, lambda item: (format_time(item[0]), item[1]))
        seen += shown
        if cursor is None:
            break
        after = decode_cursor(cursor, parse_time, canonical_uuid)
    assert seen == sorted(items)
