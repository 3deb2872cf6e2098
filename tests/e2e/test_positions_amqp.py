"""Positions over AMQP: anyone on the broker can publish; what is bad is dead-lettered and stops nothing."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.e2e.broker import DEAD_QUEUES, Broker
from tests.e2e.client import Client, Json, now, ok, unique, unknown_id
from tests.e2e.telemetry import is_at, position, seconds_ago, wait_at

AddBike = Callable[..., Json]


def key(bike: Json) -> str:
    return f"bike.{bike['id']}.position"


def of(bike: Json, **fields: Any) -> Json:
    return {"bike_id": bike["id"], **position(**fields)}


def test_one_bike_publishes_under_its_own_key(broker: Broker, operator: Client, bike: Json) -> None:
    here = of(bike)
    broker.publish({"positions": [here]}, key(bike))
    wait_at(operator, bike["id"], here)


def test_several_bikes_are_published_under_the_fleet_key(broker: Broker, operator: Client, add_bike: AddBike) -> None:
    heres = [of(add_bike()) for _ in range(3)]
    broker.publish({"positions": heres}, "fleet.position")
    for here in heres:
        wait_at(operator, here["bike_id"], here)


@pytest.mark.parametrize("routing_key", ["bike", "fleet"])
@pytest.mark.parametrize(
    "bad",
    [
        {"location": {"type": "Point", "coordinates": [0, 95]}},
        {"location": {"type": "Point", "coordinates": ["0", 1]}},
        {"location": None},
        {"recorded_at": "yesterday"},
        {"recorded_at": "2001-01-01T00:00:00Z"},
        {"battery_percent": 300},
        {"colour": "red"},
    ],
    ids=str,
)
def test_of_good_and_bad_positions_the_good_ones_are_stored_and_only_the_bad_ones_dead_lettered(
    broker: Broker, operator: Client, bike: Json, routing_key: str, bad: Json
) -> None:
    before, after = of(bike, recorded_at=seconds_ago(0)), of(bike, recorded_at=now() + timedelta(seconds=1))
    poison = {**of(bike, recorded_at=now() + timedelta(seconds=60)), **bad}
    body = {"positions": [before, poison, after]}
    routing_key = key(bike) if routing_key == "bike" else "fleet.position"
    broker.publish(body, routing_key, timestamp=int(now().timestamp()))
    wait_at(operator, bike["id"], after)
    for queue in DEAD_QUEUES:
        letter = broker.wait_dead(queue, bike["id"])
        assert letter.json()["positions"] == [poison]
        assert letter.headers


def test_a_position_of_another_bike_under_a_bikes_key_is_wrong_bike(
    broker: Broker, operator: Client, bike: Json, add_bike: AddBike
) -> None:
    other = add_bike()
    foreign, own = of(other, recorded_at=now() + timedelta(seconds=60)), of(bike)
    broker.publish({"positions": [foreign, own]}, key(bike))
    # its neighbour is stored
    wait_at(operator, bike["id"], own)
    for queue in DEAD_QUEUES:
        letter = broker.wait_dead(queue, other["id"])
        assert letter.has_header_value("wrong_bike")
        assert [each["bike_id"] for each in letter.json()["positions"]] == [other["id"]]
    assert not is_at(operator, other["id"], foreign)


def marked(template: bytes, marker: str) -> bytes:
    return template.replace(b"MARK", marker.encode())


@pytest.mark.parametrize(
    "template",
    [
        b"MARK",
        b'{"positions": [{"bike_id": "MARK"',
        b'{"positions": NaN, "x": "MARK"}',
        b'["MARK"]',
        b'"MARK"',
        b'{"other": "MARK"}',
        b'{"positions": "MARK"}',
        b'{"positions": {"bike_id": "MARK"}}',
        b'{"positions": ["MARK"]}',
        b'{"positions": [{"bike_id": "MARK"}]}',
        b'{"positions": [null, 5, {"bike_id": ["MARK"]}]}',
        b"MARK \xff\xfe",
        b'{"MARK": "caf\xe9", "positions": []}',
    ],
    ids=lambda template: template.decode(errors="replace"),
)
def test_what_cannot_be_read_is_dead_lettered_by_both_services_and_stops_nothing(
    broker: Broker, operator: Client, bike: Json, template: bytes
) -> None:
    marker = unique("poison")
    broker.publish(marked(template, marker), "fleet.position")
    here = of(bike)
    broker.publish({"positions": [here]}, key(bike))
    wait_at(operator, bike["id"], here)
    for queue in DEAD_QUEUES:
        assert broker.wait_dead(queue, marker).headers


def test_unknown_bike_is_the_reason_for_a_bike_that_does_not_exist(
    broker: Broker, operator: Client, bike: Json
) -> None:
    nobody, here = unknown_id(), of(bike)
    body = {"positions": [{"bike_id": nobody, **position()}, here]}
    broker.publish(body, "fleet.position")
    letter = broker.wait_dead("bike_service.positions.dead", nobody)
    assert letter.has_header_value("unknown_bike")
    assert [each["bike_id"] for each in letter.json()["positions"]] == [nobody]
    wait_at(operator, bike["id"], here)


def test_age_is_judged_by_the_messages_timestamp(broker: Broker, operator: Client) -> None:
    bikes = [ok(operator.post("/v1/bikes", {"name": unique()}), 201) for _ in range(2)]
    ages = [of(bike, recorded_at=now() - timedelta(days=40)) for bike in bikes]
    # fresh when the broker was given it, and too old when the broker was given it
    broker.publish({"positions": [ages[0]]}, key(bikes[0]), timestamp=int((now() - timedelta(days=39)).timestamp()))
    broker.publish({"positions": [ages[1]]}, key(bikes[1]), timestamp=int(now().timestamp()))
    wait_at(operator, bikes[0]["id"], ages[0])
    for queue in DEAD_QUEUES:
        assert broker.wait_dead(queue, bikes[1]["id"]).json()["positions"] == [ages[1]]
    assert ok(operator.get(f"/v1/bikes/{bikes[1]['id']}"))["location"] is None


def test_http_and_amqp_carry_the_same_body(broker: Broker, operator: Client, bike: Json) -> None:
    """What the gateway accepted for an unknown bike lies in the dead letters in the published form."""
    nobody = unknown_id()
    ok(operator.post(f"/v1/bikes/{nobody}/positions", {"positions": [position()]}), 202)
    (only,) = json.loads(broker.wait_dead("bike_service.positions.dead", nobody).body)["positions"]
    assert {"bike_id", "recorded_at", "location"} <= set(only)
