"""bike_service tells where bikes have moved to: once it is committed, and whatever becomes of the broker."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any

import pytest
from kombu import Queue
from nameko.testing.utils import get_extension
from sqlalchemy import event

from bike_service import operations
from bike_service.service import BikeService
from shared import moves
from shared.compiled_positions import Position
from shared.moves import EXCHANGE, Moves
from tests.integration import builders
from tests.integration.broker import Broker
from tests.integration.builders import Json, ago, new_id, position
from tests.integration.tcp_proxy import in_front_of
from tests.waiting import eventually


class Ear:
    """Hears what is told from now on; has the exchange made, if need be."""

    def __init__(self, amqp_uri: str) -> None:
        self.broker = Broker(amqp_uri)
        self._queue = Queue(new_id(), EXCHANGE, exclusive=True)(self.broker.connection.default_channel)
        self._queue.declare()

    def take(self) -> list[Json]:
        """The next message."""
        message = eventually(lambda: self._queue.get(no_ack=True))
        moved: list[Json] = json.loads(message.body)
        return moved


@pytest.fixture
def ear(amqp_uri: str) -> Iterator[Ear]:
    made = Ear(amqp_uri)
    yield made
    made.broker.close()


@contextmanager
def bike_service(uri: str, bike_database_url: str, ear: Ear) -> Iterator[Any]:
    with builders.bike_service(uri, bike_database_url) as client:
        assert ear.take() == [], "its start may have cost moves"
        yield client


def test_who_listens_is_told_where_bikes_have_moved_to(amqp_uri: str, bike_database_url: str, ear: Ear) -> None:
    with bike_service(amqp_uri, bike_database_url, ear) as bikes:
        bike_id, broker = bikes.add()["id"], ear.broker
        newest, charged = position(bike_id, ago(5), speed_mps=4.5), position(bike_id, ago(7), battery_percent=40)
        broker.report(position(bike_id, ago(9)), newest, charged, position(new_id(), ago(5)))
        assert ear.take() == [charged, newest]
        broker.report(position(bike_id, ago(8)))
        last = position(bike_id, ago(1), accuracy_m=3.5, battery_percent=39.5)
        broker.report(last)
        assert ear.take() == [last], "a late one moves nothing"


def test_many_moves_are_told_in_pieces(
    monkeypatch: pytest.MonkeyPatch, amqp_uri: str, bike_database_url: str, ear: Ear
) -> None:
    monkeypatch.setattr(moves, "MOVES_AT_ONCE", 2)
    with bike_service(amqp_uri, bike_database_url, ear) as bikes:
        sent = [position(bikes.add()["id"], ago(5)) for _ in range(3)]
        ear.broker.report(*sent)
        pieces = [ear.take() for _ in range(2)]
        assert [len(piece) for piece in pieces] == [2, 1]
        assert list(chain(*pieces)) == sent


def test_what_is_not_committed_is_not_told(
    monkeypatch: pytest.MonkeyPatch, amqp_uri: str, bike_database_url: str, ear: Ear
) -> None:
    take, failures = operations.take_positions, [ConnectionError("of this test")]

    def fail(session: Any) -> None:
        if failures:
            raise failures.pop()

    def once_in_vain(session: Any, deliveries: Any) -> Any:
        event.listen(session, "before_commit", fail)
        return take(session, deliveries)

    monkeypatch.setattr(operations, "take_positions", once_in_vain)
    with bike_service(amqp_uri, bike_database_url, ear) as bikes:
        sent = position(bikes.add()["id"], ago(5))
        ear.broker.report(sent)
        assert ear.take() == [sent]
        assert not failures
        later = position(sent["bike_id"], ago(1))
        ear.broker.report(later)
        assert ear.take() == [later], "the first one was told once"


def test_moves_and_replies_survive_an_exchange_that_is_gone(amqp_uri: str, bike_database_url: str, ear: Ear) -> None:
    with bike_service(amqp_uri, bike_database_url, ear) as bikes:
        bike_id = bikes.add()["id"]
        ear.broker.connection.default_channel.exchange_delete(EXCHANGE.name)
        ear.broker.report(position(bike_id, ago(5)))
        again = Ear(amqp_uri)
        try:
            ear.broker.report(sent := position(bike_id, ago(1)))
            told: list[list[Json]] = []
            eventually(partial(_have, told, again, sent))
            assert bikes.get(bike_id)["located_at"] == sent["recorded_at"]
        finally:
            again.broker.close()


def _have(told: list[list[Json]], ear: Ear, sent: Json) -> bool:
    told.append(ear.take())
    return [sent] in told or [] in told


def test_what_cannot_be_told_is_told_of(
    monkeypatch: pytest.MonkeyPatch, amqp_uri: str, bike_database_url: str, ear: Ear
) -> None:
    monkeypatch.setattr(moves, "MAX_WAITING", 3)
    database = {"DB_URIS": {"bike_service:Base": bike_database_url}}
    with in_front_of(amqp_uri) as (proxy, uri), builders.running(BikeService, uri, **database) as container:
        assert ear.take() == []
        telling = get_extension(container, Moves)
        proxy.refuse()
        eventually(lambda: not telling.is_connected)
        for second in range(9, 0, -1):
            telling.tell([Position(new_id(), ago(second), 8.5, 47.4)])
        proxy.restore()
        assert ear.take() == [], "after a lost connection something may be missing"
        assert [len(ear.take()) for _ in range(2)] == [1, 1]
