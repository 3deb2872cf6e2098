"""bike_service: the positions of its queue move the bikes."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import eventlet
import pytest

from bike_service import operations
from shared.batch import Delivery
from shared.fields import Point, format_time
from shared.positions import FLEET_KEY, bike_key
from tests.integration import builders
from tests.integration.broker import Broker, EventLog
from tests.integration.builders import Json, ago, new_id, point, position, query, transaction
from tests.waiting import eventually

QUEUE = "bike_service.positions"
A: Point = (8.51, 47.41)
B: Point = (8.52, 47.42)


@pytest.fixture(scope="module")
def bikes(amqp_uri: str, bike_database_url: str) -> Iterator[Any]:
    with builders.bike_service(amqp_uri, bike_database_url) as client:
        yield client


@pytest.fixture
def broker(amqp_uri: str, bikes: Any) -> Iterator[Broker]:
    outsider = Broker(amqp_uri)
    yield outsider
    outsider.close()


@pytest.fixture
def bike_id(bikes: Any) -> str:
    return str(bikes.add()["id"])


def place(bikes: Any, bike_id: str) -> tuple[Any, Any]:
    bike = bikes.get(bike_id)
    return bike["location"], bike["located_at"]


def wait_for(bikes: Any, bike_id: str, where: Point, when: datetime) -> None:
    eventually(lambda: place(bikes, bike_id) == (point(where), format_time(when)))


def delivery(*positions: Json) -> Delivery:
    return Delivery(json.dumps({"positions": positions}).encode(), FLEET_KEY)


def take(url: str, *positions: Json) -> list[Any]:
    """Handle one message as a batch of its own."""
    with transaction(url) as session:
        return operations.take_positions(session, [delivery(*positions)])[1]


def test_a_bike_stands_at_its_newest_position(bikes: Any, broker: Broker, bike_id: str) -> None:
    newest = ago(5)
    broker.report(position(bike_id, ago(9), B), position(bike_id, newest, A), position(bike_id, ago(7), B))
    wait_for(bikes, bike_id, A, newest)


def test_a_bike_reports_by_its_own_routing_key(bikes: Any, broker: Broker, bike_id: str) -> None:
    broker.report(position(bike_id, when := ago(5), A), routing_key=bike_key(bike_id))
    wait_for(bikes, bike_id, A, when)


def test_microseconds_tell_positions_apart(bikes: Any, broker: Broker, bike_id: str) -> None:
    when = datetime(2026, 5, 1, 12, 0, 0, 123457, UTC)
    broker.report(position(bike_id, when - timedelta(microseconds=1), B), position(bike_id, when, A))
    wait_for(bikes, bike_id, A, when)


def test_a_late_position_never_moves_a_bike_backwards(bikes: Any, bike_id: str, bike_database_url: str) -> None:
    newest = ago(5)
    take(bike_database_url, position(bike_id, newest, A))
    take(bike_database_url, position(bike_id, newest - timedelta(microseconds=1), B))
    assert place(bikes, bike_id) == (point(A), format_time(newest))


def test_of_two_positions_with_one_time_the_first_is_kept(bikes: Any, bike_id: str, bike_database_url: str) -> None:
    first, then = ago(9), ago(5)
    take(bike_database_url, position(bike_id, first, A), position(bike_id, first, B))
    assert place(bikes, bike_id) == (point(A), format_time(first))
    with transaction(bike_database_url) as session:
        operations.take_positions(session, [delivery(position(bike_id, then, w)) for w in (B, A)])
    assert place(bikes, bike_id) == (point(B), format_time(then))
    take(bike_database_url, position(bike_id, then, A))
    assert place(bikes, bike_id) == (point(B), format_time(then))


def test_a_position_before_the_bikes_adding_does_not_move_it(bikes: Any, bike_database_url: str) -> None:
    bike = bikes.add({"location": point(A), "battery_percent": 50})
    take(bike_database_url, position(bike["id"], ago(60), B, battery_percent=90))
    assert bikes.get(bike["id"]) == bike


def test_the_battery_has_a_newest_reading_of_its_own(bikes: Any, bike_id: str, bike_database_url: str) -> None:
    newest = ago(5)
    take(bike_database_url, position(bike_id, ago(20), B, battery_percent=70), position(bike_id, newest, A))
    bike = bikes.get(bike_id)
    assert (bike["battery_percent"], bike["location"]) == (70, point(A))
    take(bike_database_url, position(bike_id, ago(30), B, battery_percent=75))
    take(bike_database_url, position(bike_id, ago(10), B, battery_percent=69.5))
    bike = bikes.get(bike_id)
    assert (bike["battery_percent"], bike["location"]) == (69.5, point(A))
    take(bike_database_url, position(bike_id, ago(1), B, battery_percent=None))
    assert bikes.get(bike_id)["battery_percent"] == 69.5


def test_bikes_move_in_whatever_state_they_are(bikes: Any, bike_database_url: str) -> None:
    ridden, retired, out = (bikes.add()["id"] for _ in range(3))
    bikes.check_out(ridden, new_id(), "rita")
    bikes.retire(retired)
    bikes.change(out, {"status": "out_of_service"})
    take(bike_database_url, *(position(each, ago(5), A) for each in (ridden, retired, out)))
    assert [bikes.get(each)["location"] for each in (ridden, retired, out)] == [point(A)] * 3


def test_a_position_is_no_update_and_no_event(bikes: Any, broker: Broker) -> None:
    log = EventLog(broker, "bike_service")
    before = bikes.add()
    broker.report(position(before["id"], when := ago(5), A, battery_percent=12))
    wait_for(bikes, before["id"], A, when)
    assert bikes.get(before["id"])["updated_at"] == before["updated_at"]
    # Were the move an event, it would be recorded with the move, and so come before this change's.
    bikes.change(before["id"], {"name": new_id()})
    _, changed = log.wait_for(before["id"], "bike_added", "bike_changed")
    assert changed["data"]["revision"] == 2


def test_a_redelivered_message_has_no_second_effect(bikes: Any, bike_id: str, bike_database_url: str) -> None:
    message = [position(bike_id, ago(9), B, battery_percent=80), position(bike_id, ago(5), A, battery_percent=79)]
    take(bike_database_url, *message)
    first = bikes.get(bike_id)
    take(bike_database_url, *message)
    assert bikes.get(bike_id) == first


def test_concurrent_batches_end_with_the_newest_of_all(bikes: Any, bike_database_url: str) -> None:
    random_ = random.Random(7)
    fleet = [bike["id"] for bike in bikes.add_many([{}] * 40)["items"]]
    start = ago(1000)
    moves = [
        position(bike, start + timedelta(seconds=second), (second, second)) for bike in fleet for second in range(8)
    ]
    random_.shuffle(moves)
    parts = [moves[offset::8] for offset in range(8)]
    running = [eventlet.spawn(take, bike_database_url, *part) for part in parts]
    assert [greenlet.wait() for greenlet in running] == [[]] * len(parts)
    assert {json.dumps(bikes.get(bike)["location"]) for bike in fleet} == {json.dumps(point((7.0, 7.0)))}


def test_a_position_of_no_bike_is_a_dead_letter_by_itself(bikes: Any, broker: Broker, bike_id: str) -> None:
    stray = position(new_id(), ago(5), A, speed_mps=3.5)
    broker.report(stray, position(bike_id, when := ago(5), B))
    wait_for(bikes, bike_id, B, when)
    assert broker.dead_positions(QUEUE) == ("unknown_bike", [stray])


def test_a_position_of_another_bike_is_a_dead_letter_by_itself(bikes: Any, broker: Broker, bike_id: str) -> None:
    other = bikes.add()["id"]
    foreign = position(other, ago(5), A)
    broker.report(foreign, position(bike_id, when := ago(5), B), routing_key=bike_key(bike_id))
    wait_for(bikes, bike_id, B, when)
    assert broker.dead_positions(QUEUE) == ("wrong_bike", [foreign])
    assert place(bikes, other) == (None, None)


def test_invalid_positions_are_dead_letters_by_themselves(bikes: Any, broker: Broker, bike_id: str) -> None:
    good = position(bike_id, when := ago(5), B)
    bad: list[Any] = [
        {**good, "location": point((8, 91))},
        {**good, "recorded_at": "yesterday"},
        {**good, "battery_percent": 101},
        {**good, "colour": "red"},
        {**good, "bike_id": "7"},
        "a position",
    ]
    broker.report(*bad[:3], good, *bad[3:])
    wait_for(bikes, bike_id, B, when)
    assert broker.dead_positions(QUEUE) == ("invalid", bad)


def test_each_reason_makes_a_dead_letter_of_its_own(bikes: Any, broker: Broker, bike_id: str) -> None:
    good = position(bike_id, when := ago(5), B)
    stray, bad = position(new_id(), ago(5)), {**good, "speed_mps": -1}
    broker.report(stray, good, bad)
    wait_for(bikes, bike_id, B, when)
    letters = dict([broker.dead_positions(QUEUE), broker.dead_positions(QUEUE)])
    assert letters == {"unknown_bike": [stray], "invalid": [bad]}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff\xfe", "unreadable"),
        (b'{"positions": [', "unreadable"),
        (b'{"positions": [{"battery_percent": NaN}]}', "unreadable"),
        (b"[" * 100_000, "unreadable"),
        (b"[]", "invalid"),
        (b'{"positions": []}', "invalid"),
        (b'{"positions": [{}], "more": 1}', "invalid"),
    ],
    ids=["not UTF-8", "cut off", "NaN", "too deep", "a list", "no positions", "unknown member"],
)
def test_a_poison_message_is_a_dead_letter_and_its_neighbours_are_stored(
    bikes: Any, broker: Broker, bike_id: str, body: bytes, reason: str
) -> None:
    neighbour = bikes.add()["id"]
    broker.report(position(bike_id, when := ago(5), A))
    broker.publish("positions", FLEET_KEY, body)
    broker.report(position(neighbour, when, B))
    wait_for(bikes, bike_id, A, when)
    wait_for(bikes, neighbour, B, when)
    assert broker.dead_letter(QUEUE) == (reason, body)


def test_a_message_that_the_database_refuses_is_a_dead_letter_and_its_neighbours_are_stored(
    bikes: Any, broker: Broker, bike_id: str, bike_database_url: str
) -> None:
    cursed, neighbour = (bikes.add()["id"] for _ in range(2))
    check = f"CHECK (id <> '{cursed}' OR longitude IS NULL)"
    query(bike_database_url, f"ALTER TABLE bikes ADD CONSTRAINT cursed {check}")
    refused = position(cursed, ago(5), A)
    broker.report(position(bike_id, when := ago(5), A))
    broker.report(refused)
    broker.report(position(neighbour, when, B))
    wait_for(bikes, bike_id, A, when)
    wait_for(bikes, neighbour, B, when)
    assert broker.dead_positions(QUEUE) == ("handler_failed", [refused])
    query(bike_database_url, "ALTER TABLE bikes DROP CONSTRAINT cursed")


def test_age_is_judged_by_the_messages_timestamp(bikes: Any, broker: Broker, bike_id: str) -> None:
    accepted = int(ago(3600).timestamp())
    old = position(bike_id, datetime.fromtimestamp(accepted, UTC) - timedelta(days=30, seconds=1))
    ahead = position(bike_id, datetime.fromtimestamp(accepted, UTC) + timedelta(minutes=5, seconds=2))
    broker.report(old, position(bike_id, when := ago(3700), B), ahead, timestamp=accepted)
    wait_for(bikes, bike_id, B, when)
    assert broker.dead_positions(QUEUE) == ("invalid", [old, ahead])


def test_without_a_timestamp_a_position_of_any_age_is_taken(bikes: Any, broker: Broker, bike_id: str) -> None:
    broker.report(position(bike_id, when := ago(365 * 86_400), A))
    wait_for(bikes, bike_id, A, when)
