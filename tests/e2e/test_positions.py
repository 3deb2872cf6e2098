"""Positions over HTTP: 202 and what follows from it."""

from collections.abc import Callable
from datetime import timedelta
from itertools import permutations

import pytest

from tests.e2e.broker import Broker
from tests.e2e.client import Api, Client, Json, errors, eventually, now, ok, parse_time, unique, unknown_id
from tests.e2e.geo import far_away
from tests.e2e.telemetry import is_at, position, report, report_fleet, seconds_ago, wait_at

AddBike = Callable[..., Json]
UNKNOWN_BIKES = "bike_service.positions.dead"


@pytest.fixture
def old_bike(operator: Client) -> Json:
    """A bike without a location, so that a position of any age is its newest."""
    added: Json = ok(operator.post("/v1/bikes", {"name": unique()}), 201)
    return added


def test_a_vehicle_reports_its_position(vehicle: Client, operator: Client, bike: Json) -> None:
    here = position()
    report(vehicle, bike["id"], [here])
    wait_at(operator, bike["id"], here)


def test_an_operator_reports_the_positions_of_several_bikes(operator: Client, add_bike: AddBike) -> None:
    where = {add_bike()["id"]: position() for _ in range(3)}
    report_fleet(operator, [{**here, "bike_id": bike_id} for bike_id, here in where.items()])
    for bike_id, here in where.items():
        wait_at(operator, bike_id, here)


def test_a_position_may_say_more(operator: Client, bike: Json) -> None:
    here = position(battery_percent=41, speed_mps=4.2, accuracy_m=3.5)
    report(operator, bike["id"], [here])
    wait_at(operator, bike["id"], here)
    assert ok(operator.get(f"/v1/bikes/{bike['id']}"))["battery_percent"] == 41


@pytest.mark.parametrize("microsecond", [1, 123456, 999999, 0])
def test_times_keep_microseconds(operator: Client, bike: Json, microsecond: int) -> None:
    # newer than the location that the bike was added with
    later = (now() + timedelta(seconds=2)).replace(microsecond=microsecond)
    report(operator, bike["id"], [position(recorded_at=later)])
    found = eventually(
        lambda: [
            text
            for text in [ok(operator.get(f"/v1/bikes/{bike['id']}"))["located_at"]]
            if parse_time(text) >= later - timedelta(milliseconds=1)
        ]
    )
    assert parse_time(found[0]) == later


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_newest_position_wins_in_any_order(operator: Client, old_bike: Json, order: tuple[int, ...]) -> None:
    newest_last = [position(recorded_at=seconds_ago(30 - index)) for index in range(3)]
    report(operator, old_bike["id"], [newest_last[index] for index in order])
    wait_at(operator, old_bike["id"], newest_last[2])


def test_a_late_position_never_moves_a_bike_back(operator: Client, old_bike: Json, add_bike: AddBike) -> None:
    newest, late = position(recorded_at=seconds_ago(5)), position(recorded_at=seconds_ago(10))
    report(operator, old_bike["id"], [newest])
    wait_at(operator, old_bike["id"], newest)
    # once the other bike has moved, the message with the late position has been handled
    other, fence = add_bike()["id"], position()
    report_fleet(operator, [{**late, "bike_id": old_bike["id"]}, {**fence, "bike_id": other}])
    wait_at(operator, other, fence)
    assert is_at(operator, old_bike["id"], newest)


def test_of_two_positions_with_the_same_time_the_first_is_kept(
    operator: Client, old_bike: Json, add_bike: AddBike
) -> None:
    moment = seconds_ago(5)
    first, second, third = (position(recorded_at=moment) for _ in range(3))
    report(operator, old_bike["id"], [first, second])
    wait_at(operator, old_bike["id"], first)
    other, fence = add_bike()["id"], position()
    report_fleet(operator, [{**third, "bike_id": old_bike["id"]}, {**fence, "bike_id": other}])
    wait_at(operator, other, fence)
    assert is_at(operator, old_bike["id"], first)


def test_a_position_older_than_30_days_is_422(operator: Client, old_bike: Json) -> None:
    path = f"/v1/bikes/{old_bike['id']}/positions"
    too_old = position(recorded_at=now() - timedelta(days=30, seconds=10))
    assert "positions.0.recorded_at" in errors(operator.post(path, {"positions": [too_old]}))
    old = position(recorded_at=now() - timedelta(days=30) + timedelta(minutes=1))
    report(operator, old_bike["id"], [old])
    wait_at(operator, old_bike["id"], old)


def test_a_position_over_5_minutes_in_the_future_is_422(operator: Client, bike: Json) -> None:
    path = f"/v1/bikes/{bike['id']}/positions"
    too_far = position(recorded_at=now() + timedelta(minutes=5, seconds=30))
    assert "positions.0.recorded_at" in errors(operator.post(path, {"positions": [too_far]}))
    soon = position(recorded_at=now() + timedelta(minutes=4, seconds=30))
    report(operator, bike["id"], [soon])
    wait_at(operator, bike["id"], soon)


def test_a_request_with_a_bad_position_stores_none_of_it(operator: Client, bike: Json) -> None:
    good = position(recorded_at=now() + timedelta(seconds=20))
    bad = {**position(), "recorded_at": "yesterday"}
    assert "positions.1.recorded_at" in errors(
        operator.post(f"/v1/bikes/{bike['id']}/positions", {"positions": [good, bad]})
    )
    fence = position(recorded_at=now() + timedelta(seconds=10))
    report(operator, bike["id"], [fence])
    wait_at(operator, bike["id"], fence)


@pytest.mark.parametrize("count", [1000, 1001])
def test_a_bike_reports_up_to_1000_positions(operator: Client, bike: Json, count: int) -> None:
    start = now() + timedelta(seconds=5)
    positions = [position(recorded_at=start + timedelta(milliseconds=index)) for index in range(count)]
    if count > 1000:
        assert "positions" in errors(operator.post(f"/v1/bikes/{bike['id']}/positions", {"positions": positions}))
    else:
        report(operator, bike["id"], positions)
        wait_at(operator, bike["id"], positions[-1])


@pytest.mark.parametrize("count", [10_000, 10_001])
def test_a_fleet_reports_up_to_10_000_positions(operator: Client, bike: Json, count: int) -> None:
    start, place = now() + timedelta(seconds=5), far_away()
    positions = [
        {"bike_id": bike["id"], **position(place, start + timedelta(milliseconds=index))} for index in range(count)
    ]
    if count > 10_000:
        assert "positions" in errors(operator.post("/v1/positions", {"positions": positions}))
    else:
        report_fleet(operator, positions)
        eventually(lambda: is_at(operator, bike["id"], positions[-1]), timeout=30)


def test_a_position_changes_neither_updated_at_nor_publishes_an_event(
    operator: Client, bike: Json, broker: Broker
) -> None:
    with broker.events("bike_service") as log:
        here = position()
        report(operator, bike["id"], [here])
        wait_at(operator, bike["id"], here)
        assert ok(operator.get(f"/v1/bikes/{bike['id']}"))["updated_at"] == bike["updated_at"]
        # the first event of the bike is that of the change which follows
        name = unique("renamed")
        ok(operator.patch(f"/v1/bikes/{bike['id']}", {"name": name}))
        events = log.wait(bike["id"], "bike_changed")
        assert [event["data"]["name"] for event in events if event["type"] != "bike_added"] == [name]


def test_a_position_of_an_unknown_bike_is_accepted_and_dead_lettered(
    operator: Client, broker: Broker, bike: Json
) -> None:
    nobody, here = unknown_id(), position()
    report_fleet(operator, [{**position(), "bike_id": nobody}, {**here, "bike_id": bike["id"]}])
    letter = broker.wait_dead(UNKNOWN_BIKES, nobody)
    assert letter.has_header_value("unknown_bike")
    assert [each["bike_id"] for each in letter.json()["positions"]] == [nobody]
    # its neighbour is stored
    wait_at(operator, bike["id"], here)


def test_a_vehicle_that_is_no_known_bike_may_report(api: Api, broker: Broker) -> None:
    nobody = unknown_id()
    report(api.vehicle(nobody), nobody, [position()])
    assert broker.wait_dead(UNKNOWN_BIKES, nobody).has_header_value("unknown_bike")
