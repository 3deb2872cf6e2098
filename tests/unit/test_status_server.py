import socket
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import requests

from infrastructure import programs_health
from shared import healthcheck, status_server
from shared.config import ConfigurationError
from shared.errors import Unavailable
from shared.health import Health
from shared.status_address import process_number, reachable, status_address
from shared.status_server import StatusServer
from tests.waiting import eventually


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        ({}, None),
        ({"METRICS_ADDRESS": " "}, None),
        ({"METRICS_ADDRESS": "127.0.0.1:9464"}, ("127.0.0.1", 9464)),
        ({"METRICS_ADDRESS": "0.0.0.0:9464", "PROCESS_NUMBER": "3"}, ("0.0.0.0", 9467)),  # noqa: S104
        ({"METRICS_ADDRESS": "[::1]:9464", "PROCESS_NUMBER": "0"}, ("::1", 9464)),
        ({"METRICS_ADDRESS": "some-host.example:1"}, ("some-host.example", 1)),
    ],
)
def test_the_address_is_that_of_the_setting_and_the_number(environ: Any, address: Any) -> None:
    assert status_address(environ) == address


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"METRICS_ADDRESS": value}, "METRICS_ADDRESS must be host:port")
        for value in (
            "9464",
            ":9464",
            "localhost",
            "localhost:",
            "h:0",
            "h:65536",
            "h:-1",
            "h:٣",
            "::1:80",
            "a b:1",
            "[]:1",
        )
    ]
    + [
        ({"METRICS_ADDRESS": "h:65535", "PROCESS_NUMBER": "1"}, "METRICS_ADDRESS: port 65535 and PROCESS_NUMBER 1"),
        ({"METRICS_ADDRESS": "h:1", "PROCESS_NUMBER": "one"}, "PROCESS_NUMBER must be a number"),
        ({"METRICS_ADDRESS": "h:1", "PROCESS_NUMBER": "-1"}, "PROCESS_NUMBER"),
        ({"METRICS_ADDRESS": "h:1", "PROCESS_NUMBER": "0.5"}, "PROCESS_NUMBER"),
    ],
)
def test_a_wrong_address_or_number_is_named(environ: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        status_address(environ)


def test_a_number_need_not_be_set() -> None:
    assert process_number({}) is None
    assert process_number({"PROCESS_NUMBER": "0"}) == 0


def test_a_server_on_all_addresses_is_reached_on_the_loopback() -> None:
    assert [reachable(host) for host in ("0.0.0.0", "::", "10.0.0.1")] == ["127.0.0.1", "::1", "10.0.0.1"]  # noqa: S104


def away() -> None:
    raise Unavailable("Away.")


def test_health_is_starting_then_what_the_checks_say_then_stopping() -> None:
    health, checks = Health(), {"broker": lambda: None, "database": lambda: None}
    assert health.report() == {"status": "starting", "checks": {}}
    health.started(checks)
    assert health.report() == {"status": "ok"}
    checks["database"] = away
    assert health.report() == {"status": "degraded", "checks": {"broker": "ok", "database": "unavailable"}}
    health.stopping()
    health.started(checks)  # a start that ends after the signal does not undo it
    assert health.report() == {"status": "stopping", "checks": {}}


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def server(health: Health) -> Iterator[StatusServer]:
    with closing(StatusServer(("127.0.0.1", 0), health)) as running:
        yield running


def url(server: StatusServer, path: str) -> str:
    return "http://{}:{}".format(*server.address) + path


def test_it_answers_for_health_and_metrics(server: StatusServer, health: Health) -> None:
    response = requests.get(url(server, "/health"), timeout=2)
    assert (response.status_code, response.json()["status"]) == (503, "starting")
    health.started({})
    response = requests.get(url(server, "/health"), timeout=2)
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert response.headers["Cache-Control"] == "no-store"
    plain = requests.get(url(server, "/metrics"), timeout=2)
    assert plain.headers["Content-Type"].startswith("text/plain; version=")
    assert "# TYPE bike_company_build_info gauge" in plain.text
    asked = {"Accept": "application/openmetrics-text; version=1.0.0"}
    negotiated = requests.get(url(server, "/metrics"), headers=asked, timeout=2)
    assert negotiated.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert negotiated.text.endswith("# EOF\n")


def test_it_does_nothing_else(server: StatusServer) -> None:
    for path in ("/", "/metrics/", "/healthz", "/favicon.ico"):
        assert requests.get(url(server, path), timeout=2).status_code == 404
    for method in ("POST", "HEAD", "OPTIONS", "DELETE"):
        for path in ("/metrics", "/health"):
            response = requests.request(method, url(server, path), timeout=2)
            assert (response.status_code, response.headers["Allow"]) == (405, "GET")


def test_an_address_that_is_taken_is_a_clear_error(server: StatusServer) -> None:
    with pytest.raises(ConfigurationError, match=r"Cannot listen on 127\.0\.0\.1:.*METRICS_ADDRESS"):
        StatusServer(server.address, Health())


def connect(server: StatusServer) -> socket.socket:
    return socket.create_connection(server.address, timeout=2)


def test_there_is_room_for_few_and_nobody_stays(server: StatusServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_server, "CONNECTION_LIMIT_S", 0.3)
    guests = [connect(server) for _ in range(status_server.MAX_CONNECTIONS)]
    for guest in guests:
        guest.sendall(b"GET /health HT")  # and then no more
    eventually(lambda: server._connections == status_server.MAX_CONNECTIONS)
    turned_away = connect(server)
    assert turned_away.recv(1) == b""
    eventually(lambda: server._connections == 0, timeout=2)
    assert requests.get(url(server, "/health"), timeout=2).status_code == 503
    for guest in (*guests, turned_away):
        guest.close()


def test_a_client_that_drips_is_no_guest_for_ever(server: StatusServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_server, "CONNECTION_LIMIT_S", 0.2)
    with closing(connect(server)) as dripping:

        def is_refused() -> bool:
            try:
                dripping.sendall(b"G")
            except OSError:
                return True
            return False

        began = time.monotonic()
        eventually(is_refused, timeout=2)
        assert time.monotonic() - began < 1


def test_the_health_check_of_a_container(server: StatusServer, health: Health) -> None:
    environ = {"METRICS_ADDRESS": "0.0.0.0:{1}".format(*server.address)}
    assert healthcheck.check(environ) == (False, '{"status": "starting", "checks": {}}')
    health.started({})
    assert healthcheck.check(environ) == (True, '{"status": "ok"}')
    server.close()
    assert healthcheck.check(environ)[0] is False
    assert healthcheck.check({})[0] is False
    assert healthcheck.check({"METRICS_ADDRESS": "nowhere"}) == (
        False,
        "METRICS_ADDRESS must be host:port, such as 127.0.0.1:9464, not 'nowhere'.",
    )


def test_the_health_check_of_a_container_of_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, ill = [], {"2"}

    def check(environ: dict[str, str]) -> tuple[bool, str]:
        asked.append(environ["PROCESS_NUMBER"])
        return asked[-1] not in ill, "away"

    monkeypatch.setattr(healthcheck, "check", check)
    environ = {"SERVICES": "gateway bike", "PROCESSES": "gateway=2", "METRICS_ADDRESS": "127.0.0.1:9464"}
    assert programs_health.check(environ) == (False, "process 2: away")
    assert asked == ["0", "1", "2"]
    ill.clear()
    assert programs_health.check(environ) == (True, "3 processes are healthy")
    assert programs_health.check({"SERVICES": "scooter"})[0] is False
