"""Event handlers: once, again after a failure, or in the dead letters; nobody waits behind a message that fails."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy.exc
from nameko.containers import ServiceContainer
from nameko.standalone.events import event_dispatcher

from shared import dead_letters, events
from shared.errors import Invalid, Unavailable
from shared.events import event_handler
from shared.log import WorkerLog, current_request_id
from tests.conftest import unique_name
from tests.integration import builders
from tests.integration.broker import Broker
from tests.integration.tcp_proxy import in_front_of
from tests.waiting import eventually

FAILURES: dict[str, Callable[[], Exception]] = {
    "defect": lambda: ValueError("a defect"),
    "invalid": lambda: Invalid("Not like this.", {"errors": {"data.id": ["Missing."]}}),
    "database": lambda: sqlalchemy.exc.OperationalError("SELECT", {}, Exception("the server is starting up")),
    "service": lambda: Unavailable("bike_service is away."),
}


class Toy:
    """A listening service, what its handler got, and how often it fails on which payload."""

    def __init__(self) -> None:
        self.source, self.name = unique_name("source"), unique_name("listener")
        self.queue = f"evt-{self.source}-happened--{self.name}.handle"
        self.forget()

    def forget(self) -> None:
        self.calls: list[Any] = []
        self.done: list[Any] = []
        self.request_ids: list[str | None] = []
        self.times: dict[str, list[float]] = {}
        self.remaining: Counter[str] = Counter()

    def service(self) -> type:
        toy = self

        class Service:
            name = toy.name
            log = WorkerLog()

            @event_handler(toy.source, "happened")
            def handle(self, payload: Any) -> None:
                toy.handle(payload)

        return Service

    def handle(self, payload: Any) -> None:
        key = payload["key"]
        self.calls.append(key)
        self.times.setdefault(key, []).append(time.monotonic())
        self.request_ids.append(current_request_id())
        if self.remaining[key] > 0:
            self.remaining[key] -= 1
            raise FAILURES[payload["failure"]]()
        self.done.append(key)


@pytest.fixture(scope="module", autouse=True)
def _short_delays() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "DELAYS_S", (1,))
        patch.setattr(events, "OUTAGE_DELAY_S", 1)
        yield


@pytest.fixture
def broker(amqp_uri: str) -> Iterator[Broker]:
    outsider = Broker(amqp_uri)
    yield outsider
    outsider.close()


@pytest.fixture(scope="module")
def running_toy(amqp_uri: str) -> Iterator[tuple[Toy, ServiceContainer]]:
    toy = Toy()
    with builders.running(toy.service(), amqp_uri) as container:
        yield toy, container


@pytest.fixture
def toy(running_toy: tuple[Toy, ServiceContainer]) -> Iterator[Toy]:
    """The toy, its record empty; it is alive afterwards."""
    running_toy[0].forget()
    yield running_toy[0]
    assert not running_toy[1]._died.ready()


@pytest.fixture
def happened(toy: Toy, broker: Broker) -> Callable[..., None]:
    """Publishes an event whose handler fails as told, so many `times`."""

    def publish(key: str, failure: str = "", times: int = 0, **properties: Any) -> None:
        toy.remaining[key] = times
        broker.publish(f"{toy.source}.events", "happened", {"key": key, "failure": failure}, **properties)

    return publish


def no_dead_letter(broker: Broker, toy: Toy) -> bool:
    return broker.take(f"{toy.queue}.dead") is None


def test_an_event_is_handled_once(toy: Toy, happened: Callable[..., None], broker: Broker) -> None:
    for number in range(20):
        happened(str(number))
    eventually(lambda: len(toy.done) == 20)
    assert sorted(toy.calls, key=int) == [str(number) for number in range(20)]
    assert no_dead_letter(broker, toy)


def test_an_event_of_namekos_own_dispatcher_is_handled(toy: Toy, amqp_uri: str) -> None:
    event_dispatcher({"AMQP_URI": amqp_uri})(toy.source, "happened", {"key": "stock"})
    eventually(lambda: toy.done == ["stock"])


def test_an_event_that_came_while_its_handler_was_away_is_handled_when_it_is_back(
    broker: Broker, amqp_uri: str
) -> None:
    toy = Toy()
    with builders.running(toy.service(), amqp_uri):
        pass
    broker.publish(f"{toy.source}.events", "happened", {"key": "meanwhile"})
    with builders.running(toy.service(), amqp_uri):
        eventually(lambda: toy.done == ["meanwhile"])


def test_the_request_id_comes_along_and_a_deadline_does_not_matter(toy: Toy, happened: Callable[..., None]) -> None:
    happened("late", headers={"nameko.request_id": "r-1", "nameko.deadline": time.time() - 60})
    eventually(lambda: toy.done == ["late"])
    assert toy.request_ids == ["r-1"]


def test_a_failing_event_is_tried_again_later_and_others_overtake_it(
    toy: Toy, happened: Callable[..., None], broker: Broker
) -> None:
    happened("failing", "defect", 1, headers={"nameko.request_id": "r-1"})
    eventually(lambda: toy.calls == ["failing"])
    happened("other")
    eventually(lambda: toy.done == ["other", "failing"])
    first, second = toy.times["failing"]
    assert 0.9 < second - first < 3
    assert toy.request_ids == ["r-1", None, "r-1"]
    assert no_dead_letter(broker, toy)


def test_an_event_that_keeps_failing_ends_in_the_dead_letters_as_it_was(
    toy: Toy, happened: Callable[..., None], broker: Broker
) -> None:
    happened("hopeless", "defect", 99, headers={"mine": 1}, timestamp=1700000000)
    message = eventually(lambda: broker.take(f"{toy.queue}.dead"))
    assert message is not None
    assert message.decode() == {"key": "hopeless", "failure": "defect"}
    assert message.headers[dead_letters.REASON] == "handler_failed"
    assert "a defect" in message.headers[dead_letters.DETAIL]
    assert message.headers["mine"] == 1
    assert message.properties["timestamp"] == 1700000000
    assert toy.calls == ["hopeless"] * 2


def test_an_invalid_event_is_dead_lettered_at_once(toy: Toy, happened: Callable[..., None], broker: Broker) -> None:
    happened("wrong", "invalid", 99)
    message = eventually(lambda: broker.take(f"{toy.queue}.dead"))
    assert message is not None
    assert message.headers[dead_letters.REASON] == "invalid"
    assert "data.id" in message.headers[dead_letters.DETAIL]
    assert toy.calls == ["wrong"]


@pytest.mark.parametrize("body", [b"rubbish", b"\xff\xfe", b"[" * 100_000], ids=lambda body: repr(body[:10]))
def test_what_cannot_be_decoded_is_dead_lettered_as_it_came(
    body: bytes, toy: Toy, happened: Callable[..., None], broker: Broker
) -> None:
    broker.publish(f"{toy.source}.events", "happened", body)
    happened("next")
    assert broker.dead_letter(toy.queue) == ("unreadable", body)
    eventually(lambda: toy.calls == ["next"])


@pytest.mark.parametrize("failure", ["database", "service"])
def test_an_outage_counts_no_attempt(failure: str, toy: Toy, happened: Callable[..., None], broker: Broker) -> None:
    happened("patient", failure, 2)
    eventually(lambda: toy.done == ["patient"])
    assert toy.calls == ["patient"] * 3
    assert no_dead_letter(broker, toy)


def test_odd_headers_do_not_end_the_service(toy: Toy, happened: Callable[..., None]) -> None:
    odd: list[tuple[str, Any]] = [("call_id_stack", 5), ("call_id_stack", ["a", None]), ("request_id", {"a": 1})]
    for name, value in odd:
        happened(f"{name} {value}", "defect", 1, headers={f"nameko.{name}": value})
    for value in ("many", None, -9, 1.5):
        happened(f"attempt {value}", "defect", 1, headers={"x-attempt": value})
    eventually(lambda: len(toy.done) == 7)
    assert len(toy.calls) == 14


def test_an_event_whose_handler_loses_the_connection_is_handled_again(broker: Broker, amqp_uri: str) -> None:
    toy = Toy()
    handle = toy.handle
    with in_front_of(amqp_uri) as (proxy, uri):

        def lose_it_first(payload: Any) -> None:
            if not toy.calls:
                proxy.cut()
            handle(payload)

        toy.handle = lose_it_first  # type: ignore[method-assign]
        with builders.running(toy.service(), uri) as container:
            broker.publish(f"{toy.source}.events", "happened", {"key": "lost"})
            eventually(lambda: toy.done == ["lost", "lost"])
            assert not container._died.ready()
