"""Event handlers of many: together where they can be, one by one where they cannot, each with one effect."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import eventlet
import pytest
import sqlalchemy.exc
from eventlet.event import Event as Gate
from kombu import Queue
from nameko.containers import ServiceContainer
from sqlalchemy import select

from shared import events, inbox
from shared.errors import Invalid
from shared.event_batch import Event, event_handler_many
from shared.events import event_handler
from shared.log import WorkerLog
from tests.conftest import PrivateParts, unique_name
from tests.integration import builders
from tests.integration.broker import Broker
from tests.integration.shared_tables import Effect, Inbox, create, transaction
from tests.integration.tcp_proxy import in_front_of
from tests.waiting import eventually

FAILURES: dict[str, Callable[[], Exception]] = {
    "defect": lambda: ValueError("a defect"),
    "invalid": lambda: Invalid("Not like this."),
    "outage": lambda: sqlalchemy.exc.OperationalError("SELECT", {}, Exception("the server is starting up")),
}


class Toy:
    """A listening service: it keeps each event's key as a row, once, and fails on those that say so."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.source, self.name = unique_name("source"), unique_name("listener")
        self.queue = f"evt-{self.source}-happened--{self.name}.handle"
        self.calls: list[list[str]] = []
        self.request_ids: list[str | None] = []
        self.remaining: Counter[str] = Counter()
        self.gate = Gate()
        self.gate.send()

    def service(self, **options: Any) -> type:
        toy = self

        class Service:
            name = toy.name
            log = WorkerLog()

            @event_handler_many(toy.source, "happened", **options)
            def handle(self, events: list[Event]) -> None:
                toy.handle(events)

        return Service

    def handle(self, events: list[Event]) -> None:
        self.calls.append([event.payload["key"] for event in events])
        self.request_ids += [event.request_id for event in events]
        self.gate.wait()
        with transaction(self.url) as session:
            new = inbox.first_times(session, Inbox, (event.payload["key"] for event in events), self.name)
            session.add_all(Effect(name=f"{self.name} {key}") for key in new)
            session.flush()
            for event in events:
                key = event.payload["key"]
                if self.remaining[key] > 0:
                    self.remaining[key] -= 1
                    raise FAILURES[event.payload["failure"]]()

    def hold(self) -> None:
        self.gate = Gate()

    def done(self) -> list[str]:
        """The keys of all that has taken effect."""
        with transaction(self.url) as session:
            names = session.scalars(select(Effect.name).where(Effect.name.like(f"{self.name} %"))).all()
        return sorted(name.removeprefix(f"{self.name} ") for name in names)


@pytest.fixture(scope="module", autouse=True)
def _short_delays() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "DELAYS_S", (1,))
        patch.setattr(events, "OUTAGE_DELAY_S", 1)
        yield


@pytest.fixture(scope="module")
def url(private_parts: PrivateParts) -> str:
    return create(private_parts)


@pytest.fixture
def toy(url: str, amqp_uri: str) -> Toy:
    """Its queue is there already."""
    made = Toy(url)
    with builders.running(made.service(), amqp_uri):
        pass
    return made


@pytest.fixture
def broker(amqp_uri: str) -> Iterator[Broker]:
    outsider = Broker(amqp_uri)
    yield outsider
    outsider.close()


@pytest.fixture
def happened(toy: Toy, broker: Broker) -> Callable[..., None]:
    def publish(*keys: str, failure: str = "", times: int = 0, **properties: Any) -> None:
        for key in keys:
            toy.remaining[key] = times
            broker.publish(f"{toy.source}.events", "happened", {"key": key, "failure": failure}, **properties)

    return publish


@pytest.fixture
def start(toy: Toy, amqp_uri: str) -> Iterator[Callable[..., ServiceContainer]]:
    containers: list[ServiceContainer] = []

    def run(uri: str = amqp_uri, service: type | None = None) -> ServiceContainer:
        container = ServiceContainer(service or toy.service(), {"AMQP_URI": uri, "max_workers": 50})
        container.start()
        containers.append(container)
        return container

    yield run
    if not toy.gate.ready():
        toy.gate.send()
    for container in containers:
        container.kill()


def left(broker: Broker, queue: str) -> int:
    """How many messages are in `queue` once nobody consumes from it, those delivered and not acknowledged included."""

    def declared() -> Any:
        return Queue(queue, no_declare=True)(broker.connection.default_channel).queue_declare(passive=True)

    eventually(lambda: declared().consumer_count == 0)
    return int(declared().message_count)


def numbered(count: int) -> list[str]:
    return [f"{number:03}" for number in range(count)]


def test_what_has_gathered_is_one_call_and_acknowledged(
    toy: Toy, start: Callable[..., ServiceContainer], happened: Callable[..., None], broker: Broker
) -> None:
    happened(*numbered(100))
    container = start()
    eventually(lambda: toy.done() == numbered(100))
    assert len(toy.calls) < 20
    container.stop()
    assert left(broker, toy.queue) == 0


def test_alone_an_event_waits_for_nobody(
    toy: Toy, start: Callable[..., ServiceContainer], happened: Callable[..., None]
) -> None:
    start()
    began = time.monotonic()
    happened("alone", headers={"nameko.request_id": "r-1"})
    eventually(lambda: toy.done() == ["alone"])
    assert time.monotonic() - began < 1
    assert (toy.calls, toy.request_ids) == ([["alone"]], ["r-1"])


def test_one_bad_event_fails_none_of_its_neighbours(
    toy: Toy, start: Callable[..., ServiceContainer], happened: Callable[..., None], broker: Broker
) -> None:
    happened("a", "b", headers={"mine": 1})
    happened("wrong", failure="invalid", times=99)
    happened("hopeless", failure="defect", times=99)
    happened("again", failure="defect", times=1)
    broker.publish(f"{toy.source}.events", "happened", b"\xff{")
    happened("a", "c")
    container = start()
    eventually(lambda: toy.done() == ["a", "again", "b", "c"])
    reasons = {}
    for _ in range(3):
        reason, body = broker.dead_letter(toy.queue)
        reasons[json.loads(body)["key"] if b"key" in body else body] = reason
    assert reasons == {"wrong": "invalid", "hopeless": "handler_failed", b"\xff{": "unreadable"}
    container.stop()
    assert left(broker, toy.queue) == 0
    assert broker.take(f"{toy.queue}.dead") is None


def test_nobody_waits_behind_events_that_fail(
    toy: Toy,
    start: Callable[..., ServiceContainer],
    happened: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Longer than it takes the next to come by, on a busy machine too.
    monkeypatch.setattr(events, "DELAYS_S", (8,))
    happened(*numbered(5), failure="defect", times=1)
    start()
    eventually(lambda: len(toy.calls) >= 6)
    happened("next")
    eventually(lambda: "next" in toy.done())
    # Each but the first, which was blamed together with the others, waits for its second try.
    assert toy.done() == ["000", "next"]
    eventually(lambda: toy.done() == [*numbered(5), "next"], timeout=20)


def test_an_outage_counts_no_attempt(
    toy: Toy, start: Callable[..., ServiceContainer], happened: Callable[..., None], broker: Broker
) -> None:
    # More often than an event may fail.
    happened(*numbered(5), failure="outage", times=4)
    start()
    eventually(lambda: toy.done() == numbered(5), timeout=20)
    assert broker.take(f"{toy.queue}.dead") is None


def test_a_crash_between_commit_and_acknowledgement_has_no_second_effect(
    toy: Toy, start: Callable[..., ServiceContainer], happened: Callable[..., None], broker: Broker
) -> None:
    happened(*numbered(5))
    first = Gate()
    handle = toy.handle

    def handle_and_crash(events: list[Event]) -> None:
        handle(events)
        if not first.ready():
            first.send()
            Gate().wait()

    toy.handle = handle_and_crash  # type: ignore[method-assign]
    container = start()
    first.wait()
    container.kill()
    toy.handle = handle  # type: ignore[method-assign]
    before = len(toy.calls)
    container = start()
    # Effects are unique by their name, so a second one would fail again and again.
    eventually(lambda: sorted(key for call in toy.calls[before:] for key in call) == numbered(5))
    eventually(lambda: toy.done() == numbered(5))
    container.stop()
    assert left(broker, toy.queue) == 0
    assert broker.take(f"{toy.queue}.dead") is None


def test_a_lost_connection_brings_events_again_and_no_second_effect(
    toy: Toy, start: Callable[..., ServiceContainer], happened: Callable[..., None], broker: Broker, amqp_uri: str
) -> None:
    with in_front_of(amqp_uri) as (proxy, uri):
        toy.hold()
        happened(*numbered(20))
        container = start(uri)
        eventually(lambda: toy.calls)
        proxy.cut()
        toy.gate.send()
        eventually(lambda: toy.done() == numbered(20))
        happened("after")
        eventually(lambda: "after" in toy.done())
        container.stop()
    assert not container._died.ready() or container._died.wait() is None
    assert left(broker, toy.queue) == 0


def test_stopping_finishes_what_is_at_hand_and_gives_the_rest_back(
    toy: Toy, start: Callable[..., ServiceContainer], happened: Callable[..., None], broker: Broker
) -> None:
    toy.hold()
    happened(*numbered(10))
    container = start(service=toy.service(max_events=2))
    eventually(lambda: sum(map(len, toy.calls)) >= 3)
    at_hand = sorted(key for call in toy.calls for key in call)
    stopped = eventlet.spawn(container.stop)
    toy.gate.send()
    stopped.wait()
    assert toy.done() == at_hand
    assert left(broker, toy.queue) == 10 - len(at_hand)
    start()
    eventually(lambda: toy.done() == numbered(10))


def test_a_handler_of_one_may_take_its_place(
    toy: Toy, start: Callable[..., ServiceContainer], happened: Callable[..., None]
) -> None:
    came: list[str] = []

    class One:
        name = toy.name

        @event_handler(toy.source, "happened")
        def handle(self, payload: Any) -> None:
            came.append(payload["key"])

    happened("x")
    start(service=One)
    eventually(lambda: came == ["x"])
