import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import position_messages
from shared.batch import DeadLetter, Delivery
from shared.compiled_positions import Position
from shared.fields import format_time
from shared.position_messages import read
from shared.positions import FLEET_KEY, MAX_POSITIONS, MQTT_QOS, bike_key

BIKE, OTHER = "0b6c1f2e-9d3a-4c57-8f10-a1b2c3d4e5f6", "1b6c1f2e-9d3a-4c57-8f10-a1b2c3d4e5f6"
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
SECOND, TICK = timedelta(seconds=1), timedelta(microseconds=1)


def position(bike_id: str = BIKE, recorded_at: datetime = NOW, **more: Any) -> dict[str, Any]:
    place = {"type": "Point", "coordinates": [8.5, 47.4]}
    return {"bike_id": bike_id, "recorded_at": format_time(recorded_at), "location": place, **more}


def delivery(*positions: Any, key: str = FLEET_KEY, timestamp: int | None = None) -> Delivery:
    return Delivery(json.dumps({"positions": positions}).encode(), key, timestamp)


def kept(letter: DeadLetter) -> list[Any]:
    """The positions in a dead letter, which must be JSON that anybody can read."""
    body = json.loads(letter.body, parse_constant=pytest.fail)
    assert set(body) == {"positions"}
    return list(body["positions"])


def test_a_good_position_comes_out_with_its_values_and_as_it_came() -> None:
    raw = position(BIKE.upper(), NOW + TICK, battery_percent=80, speed_mps=5.5, accuracy_m=None)
    [good], dead = read(delivery(raw))
    assert msgspec.structs.replace(good, source=None) == Position(BIKE, NOW + TICK, 8.5, 47.4, 80.0, 5.5, None)
    assert good.raw == raw
    assert dead == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"positions": [NaN]}',
        b'{"positions": [-Infinity]}',
        b"\xef\xbb\xbf" + delivery(position()).body,
        delivery(position()).body.decode().encode("utf-16"),
        delivery(position()).body + b"{}",
        b'{"positions": [' + b"9" * 5000 + b"]}",
        b"[" * 100_000,
        b'{"positions":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"positions": [1], ' + delivery(position()).body[1:],
        delivery(position()).body[:-2].replace(b"{", b'{"x": 1, "x": 1, ') + b"]}",
    ],
    ids=[
        *("empty", "cut", "bytes", "nan", "infinity", "bom", "utf-16", "two", "digits", "deep", "deeper"),
        *("list named twice", "member named twice"),
    ],
)
def test_what_is_not_one_json_text_is_dead_as_a_whole(body: bytes) -> None:
    message = Delivery(body, FLEET_KEY, SECONDS)
    good, [letter] = read(message)
    assert (good, letter.delivery, letter.body, letter.reason) == ([], message, body, "unreadable")
    assert 0 < len(letter.detail) < 200


@pytest.mark.parametrize(
    "body",
    [
        None,
        5,
        "positions",
        [],
        [position()],
        {},
        position(),
        {"positions": None},
        {"positions": {}},
        {"positions": position()},
        {"positions": []},
        {"positions": [position()], "bike_id": BIKE},
        {"positions": [position()] * (MAX_POSITIONS + 1)},
    ],
)
def test_what_is_no_list_of_positions_is_dead_as_a_whole(body: Any) -> None:
    text = json.dumps(body).encode()
    good, [letter] = read(Delivery(text, FLEET_KEY))
    assert (good, letter.body, letter.reason) == ([], text, "invalid")


def test_nesting_that_can_just_be_read_is_dead_letter_too() -> None:
    for depth in range(900, 1010):
        body = b'{"positions": [' + b"[" * depth + b"]" * depth + b"]}"
        good, [letter] = read(Delivery(body, FLEET_KEY))
        assert not good
        assert letter.reason == "unreadable" or kept(letter)


HOSTILE: list[Any] = [
    None,
    True,
    7,
    "here",
    [],
    {},
    position(bike_id="nobody"),
    position() | {"bike_id": None},
    position(location=[8.5, 47.4]),
    position(location={"type": "Point", "coordinates": [47.4, 91]}),
    position(location={"type": "Point", "coordinates": [True, False]}),
    position(recorded_at=NOW) | {"recorded_at": "12:00"},
    position(battery_percent="80"),
    position(speed_mps=-1),
    position(heading=1),
    position(_schema=1),
    position(nul="\x00"),
]


@pytest.mark.parametrize("bad", HOSTILE)
def test_a_bad_position_stops_nothing_else(bad: Any) -> None:
    first, last = position(), position(OTHER)
    good, [letter] = read(delivery(first, bad, last))
    assert [found.raw for found in good] == [first, last]
    assert (kept(letter), letter.reason) == ([bad], "invalid")
    assert isinstance(json.loads(letter.detail), dict)


def test_a_number_too_large_for_any_machine_is_bad_and_its_dead_letter_is_still_json() -> None:
    body = json.dumps({"positions": [position(battery_percent=1), position()]}).replace(": 1}", ": 1e400}")
    good, [letter] = read(Delivery(body.encode(), FLEET_KEY))
    assert [found.raw for found in good] == [position()]
    assert kept(letter) == [position(battery_percent="Infinity")]


@pytest.mark.parametrize("key", [bike_key(BIKE), bike_key(BIKE.upper())])
def test_a_message_of_one_bike_moves_no_other(key: str) -> None:
    mine, foreign = position(), position(OTHER)
    good, [letter] = read(delivery(foreign, mine, foreign, key=key))
    assert [found.raw for found in good] == [mine]
    assert (kept(letter), letter.reason) == ([foreign, foreign], "wrong_bike")
    assert letter.detail == f"The message is about bike {key.split('.')[1]}."


@pytest.mark.parametrize("name", ["nobody", "*", "#", BIKE.replace("-", ""), BIKE + "\n"])
def test_a_message_of_what_is_no_bike_moves_none(name: str) -> None:
    good, [letter] = read(delivery(position(), key=bike_key(name)))
    assert (good, letter.reason) == ([], "wrong_bike")


@pytest.mark.parametrize("key", [FLEET_KEY, "", "anything"])
def test_other_messages_may_hold_any_bikes(key: str) -> None:
    good, dead = read(delivery(position(), position(OTHER), key=key))
    assert ([found.bike_id for found in good], dead) == ([BIKE, OTHER], [])


@pytest.mark.parametrize(
    ("recorded_at", "problem"),
    [
        (NOW - timedelta(days=30), None),
        (NOW - timedelta(days=30) - TICK, "Older than 30 days."),
        (NOW + timedelta(minutes=5), None),
        # Accepted at 12:00:00.9, of which the timestamp shows 12:00:00.
        (NOW + timedelta(minutes=5) + SECOND, None),
        (NOW + timedelta(minutes=5) + SECOND + TICK, "More than 5 minutes in the future."),
    ],
)
def test_age_is_judged_by_the_message_s_timestamp(recorded_at: datetime, problem: str | None) -> None:
    good, dead = read(delivery(position(recorded_at=recorded_at), timestamp=SECONDS))
    assert len(good) == (problem is None)
    assert [(letter.reason, letter.detail) for letter in dead] == ([("invalid", problem)] if problem else [])


@pytest.mark.parametrize("recorded_at", [datetime.min, datetime(1970, 1, 1), datetime.max])
def test_without_a_timestamp_age_is_not_judged(recorded_at: datetime) -> None:
    assert len(read(delivery(position(recorded_at=recorded_at.replace(tzinfo=UTC))))[0]) == 1


@pytest.mark.parametrize("timestamp", [0, SECONDS * 1000, 253_402_300_799, 2**63, 2**64 - 1])
def test_a_timestamp_that_is_no_time_of_this_age_makes_positions_bad(timestamp: int) -> None:
    good, [letter] = read(delivery(position(), position(OTHER), timestamp=timestamp))
    assert (good, kept(letter), letter.reason) == ([], [position(), position(OTHER)], "invalid")


STALE, FOREIGN = position(recorded_at=NOW - timedelta(days=31)), position(OTHER)
kinds = [(position(), None), (STALE, "invalid"), (FOREIGN, "wrong_bike"), *((raw, "invalid") for raw in HOSTILE)]
messages = st.lists(st.tuples(st.integers(1, 7), st.sampled_from(kinds)), min_size=1, max_size=5)


@given(messages)
def test_every_position_ends_once_good_or_in_one_dead_letter_in_order(runs: list[tuple[int, Any]]) -> None:
    sent = [kind for count, kind in runs for kind in [kind] * count]
    with patch.object(position_messages, "SLICE", 3):
        good, dead = read(delivery(*(raw for raw, _ in sent), key=bike_key(BIKE), timestamp=SECONDS))
    assert [found.raw for found in good] == [raw for raw, reason in sent if reason is None]
    assert max(Counter(letter.reason for letter in dead).values(), default=1) == 1
    assert {letter.reason: kept(letter) for letter in dead} == {
        reason: [raw for raw, its in sent if its == reason] for _, reason in sent if reason is not None
    }


def over_mqtt(*positions: Any) -> Delivery:
    headers = {MQTT_QOS: 1, "x-mqtt-dup": False}
    return Delivery(json.dumps({"positions": positions}).encode(), bike_key(BIKE), headers=headers)


def test_over_mqtt_a_position_of_the_future_is_bad_whenever_it_is_read() -> None:
    now = datetime.now(UTC)
    good, bad = position(recorded_at=now + timedelta(minutes=4)), position(recorded_at=now + timedelta(minutes=6))
    [kept_one], [letter] = read(over_mqtt(good, bad))
    assert format_time(kept_one.recorded_at) == good["recorded_at"]
    assert (letter.reason, kept(letter)) == ("invalid", [bad])
    assert read(over_mqtt(good))[1] == []
    assert [each.reason for each in read(over_mqtt(bad))[1]] == ["invalid"]


def test_over_mqtt_age_is_not_judged_since_nobody_knows_when_it_was_accepted() -> None:
    found, letters = read(over_mqtt(position(recorded_at=datetime.now(UTC) - timedelta(days=60))))
    assert (len(found), letters) == (1, [])
