"""What a message may carry beside its body: none of it ends a process, or takes other messages with it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import amqp.serialization
import pytest
from kombu import Queue

from tests.integration import builders
from tests.integration.broker import Broker
from tests.integration.builders import ago, new_id, position
from tests.waiting import eventually

QUEUE = "bike_service.positions"
ENDED = "evt-trip_service-trip_ended--bike_service.on_trip_ended"
BERN = (7.45, 46.95)


@pytest.fixture(scope="module")
def bikes(amqp_uri: str, bike_database_url: str) -> Iterator[Any]:
    with builders.bike_service(amqp_uri, bike_database_url) as client:
        yield client


@pytest.fixture
def broker(amqp_uri: str, bikes: Any) -> Iterator[Broker]:
    outsider = Broker(amqp_uri)
    yield outsider
    outsider.close()


HOSTILE: dict[str, dict[str, Any]] = {
    "compressed, it says": {"headers": {"compression": "application/x-gzip"}},
    "compressed by nobody knows what": {"headers": {"compression": "x"}},
    "its own delivery count": {"headers": {"x-delivery-count": "many"}},
    "a request id that is none": {"headers": {"nameko.request_id": {"a": [1]}}},
    "nested headers": {"headers": {"a": {"b": [{"c": None}] * 50}}},
    "an encoding that decodes to what cannot be stored": {"content_encoding": "unicode_escape"},
    "an unknown encoding": {"content_encoding": "klingon"},
    "an unknown content type": {"content_type": "application/x-python-serialize"},
}


@pytest.mark.parametrize("properties", HOSTILE.values(), ids=HOSTILE)
def test_odd_properties_do_not_keep_a_position_from_its_bike(
    bikes: Any, broker: Broker, properties: dict[str, Any]
) -> None:
    bike_id = bikes.add()["id"]
    broker.report(position(bike_id, ago(1), BERN), **properties)
    eventually(lambda: bikes.get(bike_id)["location"] == builders.point(BERN))


@pytest.mark.parametrize("properties", HOSTILE.values(), ids=HOSTILE)
def test_odd_properties_of_an_unreadable_message_are_kept_out_of_harms_way(
    bikes: Any, broker: Broker, properties: dict[str, Any]
) -> None:
    bike_id = bikes.add()["id"]
    broker.publish("positions", "fleet.position", b"\\ud800", **properties)
    broker.report(position(bike_id, ago(1), BERN))
    assert broker.dead_letter(QUEUE) == ("unreadable", b"\\ud800")
    eventually(lambda: bikes.get(bike_id)["location"] == builders.point(BERN))


def test_headers_as_large_as_a_frame_do_not_wedge_the_queue(bikes: Any, broker: Broker) -> None:
    bike_id = bikes.add()["id"]
    broker.publish("positions", "fleet.position", b"nonsense", headers={"a": "x" * 130_000})
    broker.report(position(bike_id, ago(1), BERN))
    assert broker.dead_letter(QUEUE)[0] == "unreadable"
    eventually(lambda: bikes.get(bike_id)["location"] == builders.point(BERN))


def test_a_message_that_the_client_library_cannot_read_harms_only_itself(
    bikes: Any, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bike_ids = [bikes.add()["id"] for _ in range(3)]
    broker.report(position(bike_ids[0], ago(1), BERN))
    with monkeypatch.context() as patched:
        # A timestamp in milliseconds, as its sender meant it; py-amqp cannot make a datetime of it.
        patched.setattr(amqp.serialization.calendar, "timegm", lambda moment: 1_700_000_000_000)
        broker.report(position(bike_ids[1], ago(1), BERN), headers={"at": datetime(2026, 1, 1, tzinfo=UTC)})
    broker.report(position(bike_ids[2], ago(1), BERN))
    for bike_id in (bike_ids[0], bike_ids[2]):
        eventually(lambda bike_id=bike_id: bikes.get(bike_id)["location"] == builders.point(BERN), timeout=60)  # type: ignore[misc]
    dead: Queue = Queue(f"{QUEUE}.dead", no_declare=True)(broker.connection.default_channel)
    eventually(lambda: dead.queue_declare(passive=True).message_count == 1, timeout=60)
    dead.purge()


def test_an_event_that_says_it_is_compressed_is_not_lost(bikes: Any, broker: Broker) -> None:
    broker.publish("trip_service.events", "trip_ended", b"nonsense", headers={"compression": "application/x-gzip"})
    assert broker.dead_letter(ENDED) == ("unreadable", b"nonsense")


def test_a_call_with_odd_headers_is_answered_or_refused_and_the_next_one_works(bikes: Any, broker: Broker) -> None:
    for properties in HOSTILE.values():
        body: dict[str, Any] = {"args": [], "kwargs": {}}
        broker.publish("nameko-rpc", "bike_service.health", body, reply_to=new_id(), **properties)
    assert bikes.health() == {"status": "ok"}
