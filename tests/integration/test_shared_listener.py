"""The listener against a real broker: each message once, and a word about every gap."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from nameko.containers import ServiceContainer
from nameko.extensions import DependencyProvider
from nameko.testing.utils import get_extension

from infrastructure.broker_permissions import permissions
from shared import listener_link
from shared.listener import Listener
from shared.moves import EXCHANGE, Move
from tests.conftest import PrivateParts
from tests.integration.broker import Broker
from tests.integration.builders import ago, new_id, position, running
from tests.integration.tcp_proxy import in_front_of
from tests.waiting import eventually

Json = dict[str, Any]


class Hearing(DependencyProvider):
    """Keeps what it hears."""

    listener = Listener()

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, Json]] = []
        self.positions: list[list[Move]] = []
        self.gaps = 0

    def setup(self) -> None:
        self.listener.subscribe(lambda *event: self.events.append(event), self.positions.append, self._gap)
        self.listener.subscribe(on_event=self._fail)

    def _gap(self) -> None:
        self.gaps += 1

    def _fail(self, event_type: str, event: Json) -> None:
        raise RuntimeError("of this subscriber")


class Gateway:
    name = "gateway_service"
    hearing = Hearing()


@contextmanager
def hearing(amqp_uri: str) -> Iterator[Hearing]:
    with running(Gateway, amqp_uri) as container:
        yield started(container)


def started(container: ServiceContainer) -> Hearing:
    heard: Hearing = get_extension(container, Hearing)
    eventually(lambda: heard.gaps == 1)
    assert heard.listener.is_connected
    return heard


def has_heard(heard: Hearing, events: int, positions: int) -> bool:
    return len(heard.events) == events and len(heard.positions) == positions


@pytest.fixture
def broker(amqp_uri: str) -> Iterator[Broker]:
    outsider = Broker(amqp_uri)
    EXCHANGE(outsider.connection.default_channel).declare()
    yield outsider
    outsider.close()


def test_every_process_hears_events_of_all_types_and_moves(amqp_uri: str, broker: Broker) -> None:
    bike_id = new_id()
    with hearing(amqp_uri) as first, hearing(amqp_uri) as second:
        added = broker.event("bike_service", "bike_added", {"id": bike_id, "revision": 1})
        ended = broker.event("trip_service", "trip_ended", {"id": new_id(), "revision": 2})
        alone = position(bike_id, ago(2), battery_percent=50, speed_mps=4.5)
        broker.tell_moves(alone)
        broker.tell_moves(position(bike_id, ago(1)), position(new_id(), ago(1)))
        for heard in (first, second):
            eventually(partial(has_heard, heard, 2, 2))
            assert heard.events == [("bike_added", added), ("trip_ended", ended)]
            assert heard.positions[0] == [alone]
            assert [len(message) for message in heard.positions] == [1, 2]
            assert heard.gaps == 1


def test_moves_from_the_future_are_not_heard(amqp_uri: str, broker: Broker) -> None:
    bike_id = new_id()
    with hearing(amqp_uri) as heard:
        future, past = position(bike_id, ago(-3600)), position(bike_id, ago(2))
        broker.tell_moves(future)
        broker.tell_moves(future, past)
        eventually(lambda: bool(heard.positions))
        assert heard.positions == [[past]]


def test_what_is_broken_is_ignored_and_what_follows_is_heard(amqp_uri: str, broker: Broker) -> None:
    bike_id = new_id()
    with hearing(amqp_uri) as heard:
        for body in (b"{", b"[]", b"\xff", b'{"type": "x"}', b"[" * 100_000):
            broker.publish("bike_service.events", "bike_added", body)
            broker.publish(EXCHANGE.name, "", body)
        broker.publish(EXCHANGE.name, "", b"x", headers={"compression": "zlib"}, content_encoding="binary")
        broker.event("bike_service", "bike_added", {"id": 5, "revision": 1})
        good_move = position(bike_id, ago(1))
        for part in (
            {"battery_percent": "much"},
            {"recorded_at": "noon"},
            {"location": {"type": "Point", "coordinates": [1.0]}},
            {"location": {"type": "Line", "coordinates": [1.0, 2.0]}},
        ):
            broker.tell_moves({**good_move, **part})
        broker.tell_moves(good_move)
        good = broker.event("bike_service", "bike_added", {"id": bike_id, "revision": 1})
        eventually(lambda: heard.events and heard.positions)
        assert heard.events == [("bike_added", good)]
        assert [[each["bike_id"] for each in message] for message in heard.positions] == [[bike_id]]


def test_after_a_lost_connection_it_says_that_something_may_be_missing(amqp_uri: str, broker: Broker) -> None:
    with in_front_of(amqp_uri) as (proxy, uri), hearing(uri) as heard:
        proxy.refuse()
        eventually(lambda: not heard.listener.is_connected)
        heard_at = heard.listener.heard_at
        broker.event("bike_service", "bike_added", {"id": new_id(), "revision": 1})
        proxy.restore()
        eventually(lambda: heard.gaps == 2)
        assert heard.listener.is_connected
        assert heard.listener.heard_at > heard_at
        second = broker.event("bike_service", "bike_changed", {"id": new_id(), "revision": 2})
        eventually(lambda: heard.events)
        assert heard.events == [("bike_changed", second)]


def test_a_silent_connection_is_replaced(monkeypatch: pytest.MonkeyPatch, amqp_uri: str, broker: Broker) -> None:
    monkeypatch.setattr("shared.listener.HEARTBEAT", 0.5)
    with in_front_of(amqp_uri) as (proxy, uri), hearing(uri) as heard:
        proxy.pause()
        eventually(lambda: not heard.listener.is_connected)
        proxy.cut()
        proxy.restore()
        eventually(lambda: heard.listener.is_connected)


def test_its_queue_is_bounded_and_an_overflow_is_a_gap(
    monkeypatch: pytest.MonkeyPatch, amqp_uri: str, broker: Broker
) -> None:
    monkeypatch.setattr(listener_link, "MAX_MESSAGES", 10)
    monkeypatch.setattr(listener_link, "PREFETCH", 5)
    monkeypatch.setattr(listener_link, "ACKED_AT_ONCE", 5)
    with in_front_of(amqp_uri) as (proxy, uri), hearing(uri) as heard:
        proxy.pause()
        sent = [broker.event("bike_service", "bike_added", {"id": new_id(), "revision": n}) for n in range(100)]
        proxy.restore()
        eventually(lambda: heard.events and heard.events[-1][1] == sent[-1])
        eventually(lambda: heard.gaps == 2)
        assert len(heard.events) <= 20


def test_moves_that_may_have_been_lost_are_a_gap(amqp_uri: str, broker: Broker) -> None:
    with hearing(amqp_uri) as heard:
        broker.tell_moves()
        eventually(lambda: heard.gaps == 2)
        broker.tell_moves()
        broker.tell_moves()
        eventually(lambda: heard.gaps == 3)
        assert heard.positions == []


def test_who_subscribes_late_is_told_of_the_gap_at_once(amqp_uri: str) -> None:
    with hearing(amqp_uri) as heard:
        told: list[bool] = []
        heard.listener.subscribe(on_gap=lambda: told.append(True))
        assert told == [True]


def test_the_gateway_s_user_may_listen_on_the_private_broker(private_parts: PrivateParts) -> None:
    rabbitmq = private_parts.rabbitmq
    for name in ("gateway_service", "bike_service"):
        assert rabbitmq.add_user(name, permissions(name).as_dict())
    with hearing(rabbitmq.user_url("gateway_service")) as heard:
        broker = Broker(rabbitmq.user_url("bike_service"))
        try:
            event = broker.event("bike_service", "bike_added", {"id": new_id(), "revision": 1})
            broker.tell_moves(move := position(new_id(), ago(1)))
        finally:
            broker.close()
        eventually(lambda: [each for _, each in heard.events if each["id"] == event["id"]])
        eventually(lambda: [move] in heard.positions)
