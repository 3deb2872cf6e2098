"""Messages that mean harm: each ends with its reason in the dead letters, and its neighbours are stored."""

import json
import os
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest
from kombu import Connection

from tests.e2e.broker import DEAD_QUEUES, Broker
from tests.e2e.client import Json, iso, now, ok
from tests.faults.report import Report
from tests.faults.stack import Stack
from tests.faults.supervisor import SERVICES
from tests.waiting import eventually

BIKES, TRIPS = DEAD_QUEUES
ENDED = "evt-trip_service-trip_ended--bike_service.on_trip_ended"
PLACE = {"type": "Point", "coordinates": [-72.6, 42.3]}
LONG = "LONG" in os.environ
STORM = 1_000_000 if LONG else 50_000
# More than the garbage of one batch of the largest messages, whatever has come before.
ROOM_BYTES = 250_000_000


@pytest.fixture
def broker(stack: Stack) -> Iterator[Broker]:
    """Leaves no dead letters behind."""
    yield Broker(stack.amqp_uri)
    with Connection(stack.amqp_uri) as connection, connection.channel() as channel:
        for queue in (*DEAD_QUEUES, f"{ENDED}.dead"):
            channel.queue_purge(queue)


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
        eventually(lambda queue=queue: len(broker.letters(queue, "")) == len(marks), 20)
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


def test_an_event_of_a_future_version_is_a_dead_letter(stack: Stack, broker: Broker) -> None:
    mark = str(uuid.uuid4())
    event = {"id": mark, "type": "trip_ended", "occurred_at": iso(now()), "version": 2, "data": {"id": mark}}
    publish_event(stack, event)
    assert broker.wait_dead(f"{ENDED}.dead", mark).has_header_value("invalid")
    forget(stack, mark)


def test_events_again_and_in_reverse_order_leave_the_bike_with_its_newest_trip(stack: Stack, report: Report) -> None:
    bike_id, rider = stack.add_bikes(1)[0]["id"], stack.api.rider()
    ended = []
    for _ in range(3):
        trip = ok(rider.post("/v1/trips", {"bike_id": bike_id}), 201)
        ok(rider.post(f"/v1/trips/{trip['id']}/end"))
        eventually(lambda: ok(rider.get(f"/v1/bikes/{bike_id}"))["status"] == "available")
        ended.append(trip["id"])
    running = ok(rider.post("/v1/trips", {"bike_id": bike_id}), 201)["id"]
    events = [eventually(lambda trip_id=trip_id: last_event(stack, trip_id, 2)) for trip_id in reversed(ended)]
    revision = revision_of(stack, bike_id)
    for event in events:
        for _ in range(10):
            publish_event(stack, event)
        # the same news under another id, as after a restored backup
        publish_event(stack, {**event, "id": str(uuid.uuid4())})
    eventually(lambda: handled(stack) == 0)
    assert (revision_of(stack, bike_id), trip_of(stack, bike_id)) == (revision, running)
    ok(rider.post(f"/v1/trips/{running}/end"))
    end = eventually(lambda: last_event(stack, running, 2))
    for _ in range(10):
        publish_event(stack, end)
    eventually(lambda: handled(stack) == 0)
    assert (revision_of(stack, bike_id), trip_of(stack, bike_id)) == (revision + 1, None)
    forget(stack, *ended, running)


def last_event(stack: Stack, trip_id: str, revision: int) -> Json | None:
    stack.listener.collect()
    found = [event for event in stack.listener.of(trip_id) if event["data"]["revision"] == revision]
    return found[0] if found else None


def publish_event(stack: Stack, event: Json) -> None:
    with Connection(stack.amqp_uri, transport_options={"confirm_publish": True}) as connection:
        connection.Producer().publish(
            json.dumps(event).encode(),
            exchange="trip_service.events",
            routing_key="trip_ended",
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=2,
        )


def handled(stack: Stack) -> int:
    """Events that still wait for bike_service, or are being handled."""
    queue = stack.servers.broker.manage("GET", f"queues/{stack.vhost}/{ENDED}").json()
    return int(queue["messages"])


def revision_of(stack: Stack, bike_id: str) -> int:
    return int(stack.query("bike_service", "SELECT revision FROM bikes WHERE id = %s", bike_id)[0][0])


def trip_of(stack: Stack, bike_id: str) -> str | None:
    return stack.query("bike_service", "SELECT trip_id::text FROM bikes WHERE id = %s", bike_id)[0][0]


def forget(stack: Stack, *subjects: str) -> None:
    """What a test has published itself is no event of the services."""
    stack.listener.collect()
    stack.listener.forget(*subjects)
