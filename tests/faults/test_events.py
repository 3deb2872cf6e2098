"""Events that come again, late, in reverse order or from the future: the bike ends with its newest trip."""

import json
import uuid

from kombu import Connection

from tests.e2e.broker import Broker
from tests.e2e.client import Json, iso, now, ok
from tests.faults.stack import Stack
from tests.waiting import eventually

HANDLER = "evt-trip_service-trip_ended--bike_service.on_trip_ended"
COPIES = 10


def publish(stack: Stack, *events: Json) -> None:
    with Connection(stack.amqp_uri, transport_options={"confirm_publish": True}) as connection:
        producer = connection.Producer()
        for event in events:
            producer.publish(
                json.dumps(event).encode(), exchange="trip_service.events", routing_key="trip_ended",
                content_type="application/json", content_encoding="utf-8", delivery_mode=2,
            )  # fmt: skip


def forget(stack: Stack, *subjects: str) -> None:
    """What a test has published itself is no event of the services."""
    stack.listener.collect()
    stack.listener.forget(*subjects)


def end_of(stack: Stack, trip_id: str) -> Json:
    """The event of the trip's end, once it is there."""

    def found() -> list[Json]:
        stack.listener.collect()
        return [event for event in stack.listener.of(trip_id) if event["data"]["revision"] == 2]

    return eventually(found)[0]


def publish_and_wait(stack: Stack, *events: Json) -> None:
    """Publish them, and one more about a trip that nobody knows, and wait until that has been handled too."""
    last = str(uuid.uuid4())
    publish(stack, *events, {**events[0], "id": last, "data": {**events[0]["data"], "id": last}})
    eventually(lambda: stack.query("bike_service", "SELECT 1 FROM inbox WHERE event_id = %s", last))
    forget(stack, last)


def bike(stack: Stack, bike_id: str) -> tuple[int, str | None]:
    """Its revision, and the trip that it is in."""
    revision, trip_id = stack.query("bike_service", "SELECT revision, trip_id::text FROM bikes WHERE id = %s", bike_id)[
        0
    ]
    return int(revision), trip_id


def test_a_repeated_or_late_end_frees_no_bike_that_is_in_another_trip(stack: Stack) -> None:
    bike_id, rider = stack.add_bikes(1)[0]["id"], stack.api.rider()
    ended = []
    for _ in range(3):
        trip = ok(rider.post("/v1/trips", {"bike_id": bike_id}), 201)
        ok(rider.post(f"/v1/trips/{trip['id']}/end"))
        eventually(lambda: ok(rider.get(f"/v1/bikes/{bike_id}"))["status"] == "available")
        ended.append(trip["id"])
    running = ok(rider.post("/v1/trips", {"bike_id": bike_id}), 201)["id"]
    revision, _ = bike(stack, bike_id)
    events = [end_of(stack, trip_id) for trip_id in reversed(ended)]
    # the same news under another id too, as after a restored backup
    again = [[*[event] * COPIES, {**event, "id": str(uuid.uuid4())}] for event in events]
    publish_and_wait(stack, *(event for copies in again for event in copies))
    assert bike(stack, bike_id) == (revision, running)
    ok(rider.post(f"/v1/trips/{running}/end"))
    end = end_of(stack, running)
    publish_and_wait(stack, *[end] * COPIES)
    assert bike(stack, bike_id) == (revision + 1, None)
    forget(stack, *ended, running)


def test_an_event_of_a_future_version_is_a_dead_letter(stack: Stack) -> None:
    broker, mark = Broker(stack.amqp_uri), str(uuid.uuid4())
    event = {"id": mark, "type": "trip_ended", "occurred_at": iso(now()), "version": 2, "data": {"id": mark}}
    publish(stack, event)
    assert broker.wait_dead(f"{HANDLER}.dead", mark).has_header_value("invalid")
    forget(stack, mark)
    stack.purge(f"{HANDLER}.dead")
