"""Sending to readers that take it, take some of it, or nothing."""

import contextlib
import math
import resource
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from eventlet import patcher

from shared import http_reader, http_readers, sse
from shared.http_reader import LEFT, MAX_WAITING, SLOW, Reader
from shared.http_readers import Readers

plain = patcher.original("socket")


class Pair:
    """A reader, and the other end of its connection."""

    def __init__(self, **options: Any) -> None:
        listener = plain.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        self.client = plain.create_connection(listener.getsockname())
        own, _ = listener.accept()
        listener.close()
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)
        self.client.settimeout(5)
        self.reader = Reader(own, **options)

    def received(self) -> bytes:
        """All that comes before nothing more does."""
        self.client.settimeout(0.2)
        data = b""
        try:
            while part := self.client.recv(1 << 20):
                data += part
        except TimeoutError:
            pass
        return data

    def fill(self) -> int:
        """Send until something has to wait; returns how much was sent."""
        sent = 0
        while not self.reader.waiting_bytes:
            assert self.reader.send(b"x" * 100_000) is None
            sent += 100_000
        return sent


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.client.close()
    made.reader.close(LEFT)


def test_what_waits_is_sent_on_in_its_order_and_whole(pair: Pair):
    sent = pair.fill()
    assert pair.reader.send(b"end") is None
    data = b""
    while len(data) < sent + 3:
        data += pair.client.recv(1 << 20)
        assert pair.reader.push() is None
    assert data == b"x" * sent + b"end"
    assert pair.reader.waiting_bytes == 0


def test_who_has_more_waiting_than_its_bound_is_slow(pair: Pair):
    pair.fill()
    assert pair.reader.send(b"x" * (MAX_WAITING + 1)) is None  # one batch, however long, is not held against it
    assert pair.reader.send(b"y") == SLOW


def test_who_takes_nothing_for_too_long_is_slow(pair: Pair, monkeypatch: pytest.MonkeyPatch):
    pair.fill()
    assert pair.reader.push() is None
    monkeypatch.setattr(http_reader, "STUCK_S", -1)
    assert pair.reader.push() == SLOW


def test_who_has_left_is_noticed(pair: Pair):
    pair.client.sendall(b"whatever it has to say")
    assert not pair.reader.has_left()
    pair.client.close()
    assert pair.reader.has_left()


def test_a_reset_connection_is_one_that_left(pair: Pair):
    pair.fill()
    pair.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, http_reader.RESET)
    pair.client.close()
    assert pair.reader.push() == LEFT


def test_readers_that_want_the_same_get_the_same_bytes_made_once():
    readers, asked = Readers(10), []
    pairs = [Pair(wants="a"), Pair(wants="a"), Pair(wants="b"), Pair(wants="a", is_chunked=False)]
    for each in pairs:
        readers.add(each.reader, b"0")

    def batch_of(wants: Any) -> bytes:
        asked.append(wants)
        return b"" if wants == "b" else b"batch"

    readers.broadcast(batch_of)
    chunked = b"1\r\n0\r\n5\r\nbatch\r\n"
    assert [each.received() for each in pairs] == [chunked, chunked, b"1\r\n0\r\n", b"0batch"]
    assert sorted(asked) == ["a", "a", "b"]  # once for each framing
    readers.end_all()
    assert pairs[0].received() == b"0\r\n\r\n"
    assert len(readers) == 0


def test_a_slow_reader_is_let_go_and_the_others_are_served():
    readers = Readers(10)
    slow, good = Pair(), Pair()
    for each in (slow, good):
        readers.add(each.reader, b"0")
    slow.fill()
    slow.reader.send(b"x" * MAX_WAITING)
    readers.broadcast(lambda wants: b"batch")
    assert len(readers) == 1
    assert good.received().endswith(b"batch\r\n")
    readers.end_all()


def test_who_is_behind_is_served_between_the_ticks():
    readers, pair = Readers(10), Pair()
    readers.add(pair.reader, b"x" * 5_000_000)
    assert readers.are_behind
    received = 0
    pair.client.settimeout(0.01)
    while readers.are_behind:
        with contextlib.suppress(TimeoutError):
            received += len(pair.client.recv(1 << 20))
        readers.push()
    received += len(pair.received())
    assert received == len(sse.chunk(b"x" * 5_000_000))
    readers.end_all()


def test_an_expired_token_ends_its_stream():
    readers = Readers(10)
    expired, other = Pair(expires_at=1.0), Pair(expires_at=math.inf)
    readers.add(expired.reader, b"0")
    readers.add(other.reader, b"0")
    readers.look_after()
    assert len(readers) == 1
    assert expired.received().endswith(b"0\r\n\r\n")
    readers.end_all()


def test_there_is_room_for_so_many(monkeypatch: pytest.MonkeyPatch):
    readers = Readers(1)
    pair = Pair()
    assert readers.has_room()
    readers.add(pair.reader, b"0")
    assert not readers.has_room()
    pair.client.close()
    assert readers.has_room(), "who has left makes room"
    readers.end_all()
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: raised.append(limits))
    for soft, hard, room, new in (
        (1024, 4096, 1000, (2064, 4096)),
        (1024, 1500, 436, (1500, 1500)),
        (65536, 65536, 1000, None),
        (1024, 1024, 1, (1024, 1024)),
    ):
        raised.clear()
        monkeypatch.setattr(resource, "getrlimit", lambda which, limits=(soft, hard): limits)
        assert http_readers.room_for(1000) == room
        assert raised == ([new] if new else [])
