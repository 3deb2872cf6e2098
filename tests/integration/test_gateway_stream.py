"""The live stream on real sockets and a real broker: two gateways, what each reader gets, and who is let go."""

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from nameko.testing.utils import get_extension

from gateway_service import stream as live
from gateway_service.service import GatewayService
from gateway_service.settings import nameko_config
from gateway_service.stream import LiveStream
from infrastructure.local import ports
from shared import http_reader
from shared.jwt import mint
from tests.integration.broker import Broker
from tests.integration.builders import ago, new_id, position, query, ride, running, trip_service
from tests.integration.processes import running_process
from tests.integration.tcp_proxy import in_front_of
from tests.waiting import eventually

Json = dict[str, Any]
SECRET = "a secret for tests only, 32 bytes"
HERE, THERE = (8.54, 47.37), (9.5, 47.37)
BOX = "8.5,47.3,8.6,47.4"


class Reading:
    """A reader of the stream: `status` and `headers`, what it had `missed`, and events as they come."""

    def __init__(self, address: tuple[str, int], query: str = "", token: str | None = None, **headers: str) -> None:
        token = token or mint(SECRET, "operator", "olga")
        self.socket = socket.create_connection(address, timeout=10)
        lines = [f"GET /v1/stream{query} HTTP/1.1", "Host: test", f"Authorization: Bearer {token}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers: dict[str, str] = {}
        while (line := self.file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()
        self.last_id = ""
        self._lines: list[bytes] = []
        self.missed: list[tuple[str, Json]] = []
        while self.status == 200 and "retry" not in (block := self.next_block()):
            self.missed.append((block["event"], json.loads(block["data"])))

    def next_block(self) -> dict[str, str]:
        """The next block of fields; raises EOFError at the end of the stream."""
        block: dict[str, str] = {}
        while True:
            line = self._line()
            if not line:
                self.last_id = block.get("id", self.last_id)
                return block
            name, _, value = line.partition(b":")
            block[name.decode() or "comment"] = value.strip().decode()

    def next_event(self) -> tuple[str, Json]:
        while "event" not in (block := self.next_block()):
            pass
        return block["event"], json.loads(block["data"])

    def next_of(self, name: str) -> Json:
        while True:
            found, data = self.next_event()
            if found == name:
                return data

    def is_ended_well(self) -> bool:
        """Whether the last chunk comes, after whatever is on its way; nothing does when the connection is cut."""
        try:
            while True:
                self.next_block()
        except EOFError as end:
            return end.args == (0,)

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def _line(self) -> bytes:
        while not self._lines:
            size = int(self.file.readline() or b"-1", 16)
            if size <= 0:
                raise EOFError(size)
            data = self.file.read(size)
            assert self.file.readline() == b"\r\n"
            assert data.endswith(b"\n\n")
            self._lines = data.split(b"\n")[:-1]
        return self._lines.pop(0)


class Gateway:
    def __init__(self, container: Any) -> None:
        self.container = container
        self.address = next(iter(container.entrypoints)).server._sock.getsockname()
        self.stream = get_extension(container, LiveStream)
        self.readings: list[Reading] = []

    def read(self, query: str = "", **headers: str) -> Reading:
        reading = Reading(self.address, query, **headers)
        self.readings.append(reading)
        return reading

    @property
    def readers(self) -> int:
        return len(self.stream._readers)


@contextmanager
def gateway(amqp_uri: str, **settings: str) -> Iterator[Gateway]:
    config = nameko_config({"JWT_SECRET": SECRET, "GATEWAY_ADDRESS": "127.0.0.1:0", **settings})
    with running(GatewayService, amqp_uri, **config) as container:
        started = Gateway(container)
        eventually(lambda: started.stream.listener.is_connected and not started.stream._has_gap)
        yield started
        for each in started.readings:
            each.close()


@pytest.fixture
def one(amqp_uri: str) -> Iterator[Gateway]:
    with gateway(amqp_uri) as started:
        yield started


@pytest.fixture
def broker(amqp_uri: str) -> Iterator[Broker]:
    outsider = Broker(amqp_uri)
    yield outsider
    outsider.close()


def bike(place: tuple[float, float] | None = HERE, **more: Any) -> Json:
    location = None if place is None else {"type": "Point", "coordinates": list(place)}
    return {"id": new_id(), "revision": 1, "status": "available", "location": location, **more}


def add(broker: Broker, **more: Any) -> Json:
    added: Json = broker.event("bike_service", "bike_added", bike(**more))["data"]
    return added


def test_a_ride_is_seen_on_every_gateway(one: Gateway, amqp_uri: str, broker: Broker) -> None:
    with gateway(amqp_uri) as other:
        readings = [one.read(), other.read()]
        taken = bike(status="in_use", revision=2)
        trip = {"id": new_id(), "bike_id": taken["id"], "status": "active", "revision": 1}
        broker.event("bike_service", "bike_changed", taken)
        broker.event("trip_service", "trip_started", trip)
        for reading in readings:
            assert reading.headers["content-type"] == "text/event-stream"
            assert reading.headers["cache-control"] == "no-store"
            assert reading.next_event() == ("bike", taken)
            assert reading.next_event() == ("trip", trip)
        moved = position(taken["id"], ago(1), THERE, battery_percent=71.5)
        broker.tell_moves(moved)
        for reading in readings:
            assert reading.next_event() == ("position", {**moved, "trip_id": trip["id"]})
        ended = {**trip, "status": "ended", "revision": 2}
        broker.event("trip_service", "trip_ended", ended)
        later = position(taken["id"], ago(0), HERE)
        for reading in readings:
            assert reading.next_event() == ("trip", ended)
        broker.tell_moves(later)
        for reading in readings:
            assert reading.next_event() == ("position", later)


def test_a_gateway_that_was_not_there_when_a_trip_began_knows_it_too(
    amqp_uri: str, trip_database_url: str, broker: Broker
) -> None:
    trip = ride(trip_database_url)
    with in_front_of(amqp_uri) as (proxy, uri), trip_service(amqp_uri, trip_database_url), gateway(uri) as late:
        eventually(lambda: late.stream._feed.trips.of(trip["bike_id"]) == trip["id"])
        reading = late.read()
        moved = position(trip["bike_id"], ago(1))
        broker.tell_moves(moved)
        assert reading.next_event() == ("position", {**moved, "trip_id": trip["id"]})
        end = {**trip, "status": "ended", "revision": 2}
        proxy.refuse()
        broker.event("trip_service", "trip_ended", end)
        query(trip_database_url, "UPDATE trips SET status = 'cancelled', ended_at = now(), ended_by = 'operator'")
        proxy.restore()
        assert reading.next_event() == ("reset", {"reason": "gap"})
        moved = position(trip["bike_id"], ago(0))
        broker.tell_moves(moved)
        assert reading.next_event() == ("position", moved)


def test_positions_are_thinned_to_the_newest_of_each_bike(one: Gateway, broker: Broker) -> None:
    reading, bikes = one.read(), [new_id(), new_id()]
    began = time.monotonic()
    seen: list[Json] = []
    newest = [position(each, ago(0), THERE) for each in bikes]
    for seconds in (3, 1, 2):
        broker.tell_moves(*(position(each, ago(seconds), HERE) for each in bikes))
    broker.tell_moves(*newest)
    while {each["recorded_at"] for each in seen} < {each["recorded_at"] for each in newest}:
        seen.append(reading.next_of("position"))
    assert seen[-2:] == newest
    assert len(seen) <= 2 * (time.monotonic() - began + 2)
    broker.tell_moves(position(bikes[0], ago(60), HERE))
    last = add(broker)
    assert reading.next_event() == ("bike", last)


def test_a_box_gets_what_is_in_it_and_the_last_of_what_leaves_it(one: Gateway, broker: Broker) -> None:
    everywhere, boxed = one.read(), one.read(f"?bbox={BOX}")
    near, _, _ = add(broker), add(broker, place=THERE), add(broker, place=None)
    assert boxed.next_event() == ("bike", near)
    out = position(near["id"], ago(3), THERE)
    broker.tell_moves(out)
    assert boxed.next_event() == ("position", out)
    further = position(near["id"], ago(2), THERE)
    broker.tell_moves(further)
    while everywhere.next_of("position") != further:
        pass
    back = position(near["id"], ago(1), HERE)
    broker.tell_moves(back)
    assert boxed.next_event() == ("position", back)


@pytest.mark.parametrize("bbox", ["1,2,3", "8,91,9,92", "1,5,2,4", "a,b,c,d", ""])
def test_a_bad_box_is_refused(one: Gateway, bbox: str) -> None:
    reading = one.read(f"?bbox={bbox}")
    assert (reading.status, reading.headers["content-type"]) == (422, "application/problem+json")


def test_it_is_the_operators(one: Gateway) -> None:
    for role, status in (("rider", 403), ("vehicle", 403), ("operator", 200)):
        assert Reading(one.address, token=mint(SECRET, role, new_id())).status == status
    assert Reading(one.address, token="no token").status == 401


def test_what_a_short_disconnection_missed_is_sent_again(one: Gateway, broker: Broker) -> None:
    first = one.read(f"?bbox={BOX}")
    known = add(broker)
    assert first.next_event() == ("bike", known)
    first.close()
    witness = one.read()
    missed = [add(broker), add(broker, place=THERE), add(broker)]
    for each in missed:
        assert witness.next_event() == ("bike", each)
    again = one.read(f"?bbox={BOX}", Last_Event_ID=first.last_id)
    assert again.missed == [("bike", missed[0]), ("bike", missed[2])]
    assert again.last_id == witness.last_id
    after = add(broker)
    assert again.next_event() == ("bike", after)
    assert one.read(Last_Event_ID=again.last_id).missed == []


def test_an_id_that_this_gateway_does_not_know_means_to_load_anew(one: Gateway, amqp_uri: str, broker: Broker) -> None:
    reading = one.read()
    add(broker)
    reading.next_event()
    with gateway(amqp_uri) as other:
        for unknown in (reading.last_id, "nonsense", "0123456789abcdef-1"):
            fresh = other.read(Last_Event_ID=unknown)
            assert fresh.next_event() == ("reset", {"reason": "unknown_id"})
            add(broker)
            assert fresh.next_event()[0] == "bike"
        ahead = fresh.last_id.partition("-")[0] + "-999"
        assert other.read(Last_Event_ID=ahead).next_event()[0] == "reset"


def test_a_lost_broker_means_to_load_anew_once_it_is_back(amqp_uri: str, broker: Broker) -> None:
    with in_front_of(amqp_uri) as (proxy, uri), gateway(uri) as through:
        reading = through.read()
        before = reading.last_id
        proxy.cut()
        assert reading.next_event() == ("reset", {"reason": "gap"})
        added = add(broker)
        assert reading.next_event() == ("bike", added)
        assert through.read(Last_Event_ID=before).next_event() == ("reset", {"reason": "unknown_id"})


def test_a_quiet_stream_has_heartbeats_with_its_newest_id(
    monkeypatch: pytest.MonkeyPatch, amqp_uri: str, broker: Broker
) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.3)
    with gateway(amqp_uri) as hasty:
        everywhere, boxed = hasty.read(), hasty.read(f"?bbox={BOX}")
        add(broker, place=THERE)
        everywhere.next_event()
        blocks = [boxed.next_block()]
        while boxed.last_id != everywhere.last_id:
            blocks.append(boxed.next_block())
        assert {tuple(block) for block in blocks} == {("comment", "id")}


def test_it_ends_with_its_token(one: Gateway) -> None:
    reading = one.read(token=mint(SECRET, "operator", "olga", timedelta(seconds=2)))
    began = time.monotonic()
    assert reading.is_ended_well()
    assert time.monotonic() - began < 5


def test_a_reader_that_leaves_is_forgotten(one: Gateway) -> None:
    readings = [one.read() for _ in range(3)]
    assert one.readers == 3
    for each in readings:
        each.close()
    eventually(lambda: one.readers == 0)


def test_beyond_its_limit_others_are_sent_away_and_ordinary_requests_served(amqp_uri: str) -> None:
    with gateway(amqp_uri, STREAM_READERS="2", MAX_WORKERS="1") as small:
        first, _ = small.read(), small.read()
        refused = small.read()
        assert (refused.status, refused.headers["retry-after"]) == (503, "10")
        with socket.create_connection(small.address, timeout=5) as plain:
            plain.sendall(b"GET /ping HTTP/1.1\r\nHost: test\r\n\r\n")
            assert b" 200 " in plain.recv(1000)
        first.close()
        eventually(lambda: small.readers == 1)
        assert small.read().status == 200


def test_a_reader_that_does_not_read_is_cut_off_and_harms_nobody(
    monkeypatch: pytest.MonkeyPatch, one: Gateway, broker: Broker
) -> None:
    monkeypatch.setattr(http_reader, "STUCK_S", 1.0)
    slow, good = one.read(), one.read()
    big = "x" * 200_000
    sent = 0
    while one.readers == 2:
        added = add(broker, name=big)
        began = time.monotonic()
        assert good.next_event() == ("bike", added)
        assert time.monotonic() - began < 3
        sent += 1
        assert sent < 200, "what it has not taken is bounded"
    assert len(slow.file.read()) < sent * len(big), "what was left is not sent any more"
    add(broker)
    assert good.next_event()[0] == "bike"


def test_head_opens_no_stream(one: Gateway) -> None:
    token = mint(SECRET, "operator", "olga")
    with socket.create_connection(one.address, timeout=5) as plain:
        for _ in range(2):  # on the same connection
            plain.sendall(f"HEAD /v1/stream HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
            assert plain.recv(2000).startswith(b"HTTP/1.1 200 ")
    assert one.readers == 0


def test_for_http_1_0_it_is_not_chunked(one: Gateway, broker: Broker) -> None:
    token = mint(SECRET, "operator", "olga")
    with socket.create_connection(one.address, timeout=5) as plain:
        plain.sendall(f"GET /v1/stream HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        received = b""
        while b"retry: " not in received:
            received += plain.recv(2000)
        assert b"chunked" not in received
        assert received.partition(b"\r\n\r\n")[2].startswith(b"retry: ")


@pytest.fixture
def process_gateway(amqp_uri: str, tmp_path: Path) -> Iterator[Callable[[], tuple[Any, tuple[str, int]]]]:
    port = ports.choose()
    settings = {"AMQP_URI": amqp_uri, "JWT_SECRET": SECRET, "GATEWAY_ADDRESS": f"127.0.0.1:{port}"}
    with running_process("gateway_service", settings, tmp_path) as process:
        process.wait_for("ok")
        yield lambda: (process, ("127.0.0.1", port))


def test_streams_end_at_once_when_the_gateway_is_to_stop(process_gateway: Callable[[], Any]) -> None:
    process, address = process_gateway()
    readings = [Reading(address) for _ in range(20)]
    assert process.scrape().value("stream_readers") == 20
    # A request whose body does not come holds up the drain.
    dawdling = socket.create_connection(address)
    token = mint(SECRET, "operator", "olga")
    head = f"POST /v1/positions HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {token}\r\nContent-Length: 9\r\n"
    dawdling.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode())
    eventually(lambda: process.scrape().value("http_requests_in_progress") == 1)
    process.popen.send_signal(signal.SIGTERM)
    began = time.monotonic()
    for each in readings:
        assert each.is_ended_well()
    assert time.monotonic() - began < 3
    assert process.popen.poll() is None
    assert process.popen.wait(timeout=10) == 0
    assert time.monotonic() - began < 10
