"""Clients that mean harm, by raw sockets, while others want to be served."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import eventlet
import pytest

from shared.http_connections import MAX_CONNECTIONS, SPARE_FILES
from tests.doors.flood import (
    Address,
    Probe,
    address_of,
    connections,
    is_reset,
    open_files,
    send_if_open,
    served_throughout,
)
from tests.e2e.client import Api
from tests.stack import RunningStack, free_port, running_services
from tests.waiting import eventually

IDLE = 10_000
# What this process has open besides.
OWN_FILES = 1000
# More than a client's and the gateway's buffers hold.
ANSWERS = 20
PLACES = 200

BODY_HEAD = b"POST /v1/trips HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
SLOW = {
    "a head": b"GET /ping HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    "a body of a length": BODY_HEAD + b"Authorization: Bearer %s\r\nContent-Length: 100\r\n\r\n{",
    "a chunked body": BODY_HEAD + b"Authorization: Bearer %s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    "a body that nobody wants": b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
}


@pytest.fixture(scope="module")
def narrow(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """A gateway of the same stack that has `PLACES` connections: to fill as many as usual with answers takes long."""
    address = f"127.0.0.1:{free_port()}"
    environment = {**stack.environments["gateway_service"], "GATEWAY_ADDRESS": address}
    logs = tmp_path_factory.mktemp("narrow")
    with ExitStack() as ended:
        with open_files(PLACES + SPARE_FILES):
            ended.enter_context(running_services(f"http://{address}", logs, {"gateway_service": environment}))
        yield address_of(f"http://{address}")
    assert "no connection can be accepted" not in (logs / "gateway_service.log").read_text()


@pytest.mark.parametrize("begun", SLOW.values(), ids=SLOW)
def test_slow_clients_cost_no_worker_and_lock_nobody_out(narrow: Address, api: Api, begun: bytes) -> None:
    begun = begun.replace(b"%s", api.token("rider").encode())
    with (
        served_throughout(narrow, api.token("operator")) as others,
        connections(narrow, 2 * PLACES, begun) as slow,
    ):
        seen = len(others.waits)

        def served_meanwhile() -> bool:
            for sock in slow[::10]:
                send_if_open(sock, b"x")
            return len(others.waits) > seen + 20

        # Sooner than any of the server's own limits of time would set a place free.
        eventually(served_meanwhile, timeout=20)


def test_clients_that_take_no_answer_are_cut_off_and_lock_nobody_out(narrow: Address, api: Api) -> None:
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * ANSWERS
    with (
        served_throughout(narrow, api.token("operator")) as others,
        connections(narrow, 2 * PLACES, asked, receive_buffer=2048) as deaf,
    ):
        # Sooner than the time in which the server gives up a client that takes nothing.
        others.is_served(20, within=30)
        assert sum(is_reset(sock) for sock in deaf) >= PLACES


# Connecting so often takes a minute on a busy machine.
@pytest.mark.timeout(600)
def test_ten_thousand_idle_connections_lock_nobody_out(address: Address, others: Probe) -> None:
    with open_files(IDLE + OWN_FILES) as allowed, connections(address, allowed - OWN_FILES) as idle:
        assert len(idle) == IDLE or len(idle) > 2 * MAX_CONNECTIONS, "too few files may be open (ulimit -Hn)"
        others.is_served(50, within=60)


def test_a_flood_of_pipelined_requests_does_not_starve_the_others(address: Address, others: Probe) -> None:
    with socket.create_connection(address, timeout=30) as sock:
        reader = eventlet.spawn(lambda: sum(len(piece) for piece in iter(lambda: sock.recv(1 << 16), b"")))
        sock.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n" * 2000)
        sock.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert reader.wait() > 2000 * 100
