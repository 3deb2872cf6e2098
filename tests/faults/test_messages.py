"""Messages that mean harm: each ends with its reason in the dead letters, and its neighbours are stored."""

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psutil
import pytest

from tests.e2e.broker import DEAD_QUEUES, Broker
from tests.e2e.client import Json, iso, now, ok
from tests.faults.length import LONG
from tests.faults.report import Report
from tests.faults.stack import Stack
from tests.faults.supervisor import SERVICES
from tests.waiting import eventually

BIKES, TRIPS = DEAD_QUEUES
PLACE = {"type": "Point", "coordinates": [-72.6, 42.3]}
STORM = 1_000_000 if LONG else 50_000
# More than the garbage of one batch of the largest messages, whatever has come before.
ROOM_BYTES = 250_000_000


@pytest.fixture
def broker(stack: Stack) -> Iterator[Broker]:
    """Leaves no dead letters behind."""
    yield Broker(stack.amqp_uri)
    stack.purge(*DEAD_QUEUES)


@pytest.fixture
def memory(stack: Stack) -> Iterator[Callable[[], int]]:
    """The most that a service has grown by, in bytes, so far; no service may end meanwhile."""
    exits, before = len(stack.supervisor.exits), {name: _resident(stack, name) for name in SERVICES}
    yield lambda: max(_resident(stack, name) - before[name] for name in SERVICES)
    assert stack.supervisor.exits[exits:] == []


def _resident(stack: Stack, service: str) -> int:
    return int(psutil.Process(stack.supervisor.pid(service)).memory_info().rss)


def position(bike_id: str, at: datetime, **more: Any) -> Json:
    return {"bike_id": bike_id, "recorded_at": iso(at), "location": PLACE, **more}


def stored(stack: Stack, bike_id: str) -> int:
    return int(stack.query("trip_service", "SELECT count(*) FROM positions WHERE bike_id = %s", bike_id)[0][0])


def located_at(stack: Stack, bike_id: str) -> datetime | None:
    at = stack.query("bike_service", "SELECT located_at FROM bikes WHERE id = %s", bike_id)[0][0]
    return at if at is None else at.astimezone(UTC)


def holds(broker: Broker, queue: str, count: int) -> bool:
    return len(broker.letters(queue, "")) == count


def of(*positions: Json) -> bytes:
    return json.dumps({"positions": positions}).encode()


def poison(bike_id: str) -> dict[str, tuple[bytes, str]]:
    """Body and reason, by what is wrong. Each holds `bike_id`, so that its dead letter can be found."""
    good = position(bike_id, now())
    # json writes a NaN, and Python's own reader would take it
    nan = {**good, "location": {"type": "Point", "coordinates": [float("nan"), 42.3]}}
    return {
        "malformed JSON": (b'{"positions": [' + bike_id.encode(), "unreadable"),
        "NaN coordinates": (of(nan), "unreadable"),
        "wrong types": (of({**good, "recorded_at": 5, "location": "here"}), "invalid"),
        "unknown fields": (of({**good, "altitude": 5}), "invalid"),
        "a future version": (json.dumps({"version": 2, "positions": [good]}).encode(), "invalid"),
        "10 MiB": (of({**good, "note": "x" * 10 * 1024 * 1024}), "invalid"),
        "10 MiB of brackets": (bike_id.encode() + b"[" * 10 * 1024 * 1024, "unreadable"),
    }


def test_poison_is_put_aside_and_its_neighbours_are_stored(
    stack: Stack, broker: Broker, memory: Callable[[], int]
) -> None:
    """All of it at once, each between two good messages."""
    bike_id, since = stack.add_bikes(1)[0]["id"], now() - timedelta(minutes=1)
    marks = {name: str(uuid.uuid4()) for name in poison(bike_id)}
    for index, (name, mark) in enumerate(marks.items()):
        body, _ = poison(mark)[name]
        broker.publish(of(position(bike_id, since + timedelta(seconds=2 * index))), "fleet.position")
        broker.publish(body, "fleet.position")
        broker.publish(of(position(bike_id, since + timedelta(seconds=2 * index + 1))), "fleet.position")
    eventually(lambda: stored(stack, bike_id) == 2 * len(marks), 20)
    eventually(lambda: located_at(stack, bike_id) == since + timedelta(seconds=2 * len(marks) - 1), 20)
    for queue in DEAD_QUEUES:
        eventually(partial(holds, broker, queue, len(marks)), 20)
        for name, mark in marks.items():
            (letter,) = broker.letters(queue, mark)
            assert letter.has_header_value(poison(mark)[name][1]), (queue, name, letter.headers)
    assert memory() < ROOM_BYTES


def test_a_position_of_a_bike_that_does_not_exist_is_a_dead_letter_of_bike_service_alone(
    stack: Stack, broker: Broker
) -> None:
    bike_id, unknown, at = stack.add_bikes(1)[0]["id"], str(uuid.uuid4()), now()
    broker.publish(of(position(unknown, at), position(bike_id, at)), "fleet.position")
    assert broker.wait_dead(BIKES, unknown).has_header_value("unknown_bike")
    eventually(lambda: (stored(stack, unknown), stored(stack, bike_id)) == (1, 1))
    assert broker.letters(TRIPS, unknown) == []
    eventually(lambda: located_at(stack, bike_id) == at)


@pytest.mark.timeout(1800)
def test_a_storm_of_positions_of_one_bike_is_stored_while_callers_are_served(
    stack: Stack, broker: Broker, memory: Callable[[], int], report: Report
) -> None:
    """All within one second of the bike's time."""
    bike_id, since, began = stack.add_bikes(1)[0]["id"], now() - timedelta(minutes=1), now()
    step = timedelta(microseconds=1_000_000 // STORM)
    for start in range(0, STORM, 2000):
        body = of(*(position(bike_id, since + step * index) for index in range(start, start + 2000)))
        broker.publish(body, f"bike.{bike_id}.position")
    rider, slowest, largest = stack.api.rider(), 0.0, 0

    def is_stored() -> bool:
        nonlocal slowest, largest
        answer = rider.get(f"/v1/bikes/{bike_id}")
        ok(answer)
        slowest, largest = max(slowest, answer.elapsed.total_seconds()), max(largest, memory())
        return stored(stack, bike_id) == STORM and located_at(stack, bike_id) == since + step * (STORM - 1)

    eventually(is_stored, 60 if not LONG else 900)
    took = (now() - began).total_seconds()
    report.notes.append(
        f"{STORM} positions of one bike in one second: stored after {took:.1f} s, a reader waited {slowest:.2f} s at"
        f" most, the largest service grew by {largest / 1e6:.0f} MB"
    )
    assert largest < ROOM_BYTES
    assert slowest < 5
