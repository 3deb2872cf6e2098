"""Reports of positions that travel together: each is confirmed, none is lost or judged by another's time."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import amqp
import eventlet
import pytest
from eventlet.event import Event

from gateway_service.reports import IN_FLIGHT, MAX_JOINED, Report, Reports
from shared.batch import REQUEST_ID, REQUEST_IDS, Delivery, request_ids
from shared.compiled_positions import Position
from shared.errors import Unavailable
from shared.positions import EXCHANGE, FLEET_KEY, bike_key
from tests.waiting import eventually

NOW = 1_777_636_800


class Held:
    """A publisher whose confirms come when `gate` opens, or fail with `error`."""

    def __init__(self) -> None:
        self.gate = Event()
        self.error: Exception | None = None
        self.sent: list[tuple[str, str, bytes, dict[str, Any]]] = []

    def publish(self, exchange: str, routing_key: str, body: bytes, **options: Any) -> None:
        self.sent.append((exchange, routing_key, body, options))
        self.gate.wait()
        if self.error is not None:
            raise self.error


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.fixture
def reports(held: Held) -> Iterator[Reports]:
    made: Any = Reports()
    made.publisher = held
    yield made
    eventually(lambda: made._in_flight == 0 and not made._waiting)


def report(number: int = 1, timestamp: int = NOW, request_id: str = "r", bike_id: str | None = None) -> Report:
    bike = bike_id or str(uuid.uuid4())
    positions = [Position(bike, datetime.fromtimestamp(NOW + n, UTC), 8.5, 47.4) for n in range(number)]
    return Report(positions, timestamp, request_id, bike)


def outcome(reports: Reports, each: Report) -> Exception | None:
    try:
        reports.publish(each)
    except Unavailable as error:
        return error
    return None


def sent_together(reports: Reports, held: Held, *given: Report) -> list[Any]:
    """The outcomes of reports that come while as many as may be are on their way already."""
    first = [eventlet.spawn(outcome, reports, report()) for _ in range(IN_FLIGHT)]
    threads = [eventlet.spawn(outcome, reports, each) for each in given]
    eventlet.sleep(0)
    assert len(held.sent) == IN_FLIGHT
    held.gate.send()
    return [thread.wait() for thread in [*first, *threads]]


def positions(body: bytes) -> list[str]:
    return [each["bike_id"] for each in json.loads(body)["positions"]]


def test_alone_a_report_is_a_message_of_its_bike(reports: Reports, held: Held) -> None:
    held.gate.send()
    one = report(3, request_id="mine")
    reports.publish(one)
    ((exchange, key, body, options),) = held.sent
    assert (exchange, key, positions(body)) == (EXCHANGE.name, bike_key(one.bike_id or ""), [one.bike_id] * 3)
    assert options["headers"] == {REQUEST_ID: "mine"}
    assert options["timestamp"] == NOW


def test_what_comes_meanwhile_is_one_message_in_order(reports: Reports, held: Held) -> None:
    given = [report(2, request_id=f"r{number}") for number in range(5)]
    assert sent_together(reports, held, *given) == [None] * (IN_FLIGHT + 5)
    (_, key, body, options) = held.sent[IN_FLIGHT]
    assert len(held.sent) == IN_FLIGHT + 1
    assert (key, positions(body)) == (FLEET_KEY, [each.bike_id for each in given for _ in range(2)])
    assert options["headers"][REQUEST_IDS] == [f"r{number}" for number in range(5)]
    assert request_ids([Delivery(b"", key, headers=options["headers"])]) == [f"r{number}" for number in range(5)]


def test_what_was_accepted_at_another_time_or_is_too_much_is_another_message(reports: Reports, held: Held) -> None:
    given = [report(), report(timestamp=NOW + 1), report(MAX_JOINED, NOW + 1), report(MAX_JOINED + 1)]
    assert not any(sent_together(reports, held, *given[:3]))
    later = held.sent[IN_FLIGHT:]
    assert [(len(positions(body)), options["timestamp"]) for _, _, body, options in later] == [
        (1, NOW),
        (1, NOW + 1),
        (MAX_JOINED, NOW + 1),
    ]
    reports.publish(given[3])
    assert len(positions(held.sent[-1][2])) == MAX_JOINED + 1


def test_a_message_that_fails_fails_all_that_are_in_it(reports: Reports, held: Held) -> None:
    held.error = Unavailable("away")
    assert sent_together(reports, held, report(), report()) == [held.error] * (IN_FLIGHT + 2)
    held.error = None
    reports.publish(report())


def test_a_report_that_has_given_up_is_not_sent(reports: Reports, held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway_service.reports.CONFIRM_LIMIT_S", 0.05)
    first = [eventlet.spawn(outcome, reports, report()) for _ in range(IN_FLIGHT)]
    eventlet.sleep(0)
    assert isinstance(outcome(reports, report()), Unavailable)
    held.gate.send()
    assert [thread.wait() for thread in first] == [None] * IN_FLIGHT
    reports.publish(report())
    assert len(held.sent) == IN_FLIGHT + 1


def test_headers_of_a_joined_message_are_ones_that_amqp_has(reports: Reports, held: Held) -> None:
    sent_together(reports, held, report(request_id="a"), report(request_id="b"))
    headers = held.sent[IN_FLIGHT][3]["headers"]
    packed = amqp.serialization.dumps("F", [headers])
    assert amqp.serialization.loads("F", packed, 0)[0][0] == headers
