"""Starting: waiting with a limit, migrating once whoever asks, a service as a process until it is told to end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import eventlet
import psycopg2
import pytest
from alembic.script import ScriptDirectory

from infrastructure.local import ports
from shared import migrate
from shared.config import ConfigurationError
from shared.run import load_service
from shared.wait import WaitedTooLong, wait_for_broker, wait_for_database
from tests.conftest import PrivateParts, unique_name
from tests.integration.builders import query
from tests.integration.conftest import as_sqlalchemy
from tests.integration.tcp_proxy import TcpProxy, in_front_of
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]


@pytest.fixture
def dead_port() -> int:
    return ports.choose()


@pytest.fixture
def silent(amqp_uri: str) -> Iterator[int]:
    """A port where connections are taken and nothing is answered."""
    with in_front_of(amqp_uri) as (proxy, _):
        proxy.pause()
        yield proxy.port


@pytest.fixture
def database(private_parts: PrivateParts) -> str:
    return private_parts.postgres.create_database(unique_name("started"))


WAITS: dict[str, Callable[[int], None]] = {
    "database": lambda port: wait_for_database(f"postgresql+psycopg2://u:secret@127.0.0.1:{port}/fleet", 1),
    "broker": lambda port: wait_for_broker(f"amqp://u:secret@127.0.0.1:{port}/", 1),
}


@pytest.mark.parametrize("what", WAITS)
@pytest.mark.parametrize("how", ["dead_port", "silent"])
def test_waiting_in_vain_ends_at_the_limit_and_says_for_what(
    what: str, how: str, request: pytest.FixtureRequest
) -> None:
    port: int = request.getfixturevalue(how)
    began = time.monotonic()
    with pytest.raises(WaitedTooLong) as caught:
        WAITS[what](port)
    assert 1 <= time.monotonic() - began < 4
    assert what in str(caught.value)
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_waiting_ends_when_broker_and_database_come_up(amqp_uri: str, database: str) -> None:
    for url, wait in ((amqp_uri, wait_for_broker), (as_sqlalchemy(database), wait_for_database)):
        with in_front_of(url) as (proxy, through):
            proxy.refuse()
            waiting = eventlet.spawn(wait, through, 20)
            eventlet.sleep(0)
            assert not waiting.dead
            proxy.restore()
            waiting.wait()


def test_waiting_lasts_while_the_database_does_not_exist_yet(private_parts: PrivateParts) -> None:
    name = unique_name("later")
    url = as_sqlalchemy(private_parts.postgres.create_database(name))
    private_parts.postgres.drop_database(name)
    waiting = eventlet.spawn(wait_for_database, url, 20)
    eventlet.sleep(0)
    private_parts.postgres.create_database(name)
    waiting.wait()


def test_migrating_at_once_and_again_leaves_the_newest_revision(database: str) -> None:
    url = as_sqlalchemy(database)
    processes = [started("shared.migrate", "trip_service", database_environment(database)) for _ in range(3)]
    for process in processes:
        assert ended(process, 60)[0] == 0
    migrate.upgrade("trip_service", url)
    head = ScriptDirectory.from_config(migrate.alembic_config("trip_service", url)).get_current_head()
    assert query(url, "SELECT version_num FROM alembic_version") == [(head,)]


def test_migrating_waits_for_the_database_and_needs_no_other_setting(private_parts: PrivateParts) -> None:
    name = unique_name("later")
    url = private_parts.postgres.create_database(name)
    private_parts.postgres.drop_database(name)
    process = started("shared.migrate", "bike_service", {"BIKE_DATABASE_URL": url})
    assert process.stdout is not None
    assert "waiting for database" in process.stdout.readline()
    private_parts.postgres.create_database(name)
    assert ended(process, 60)[0] == 0
    migrate.wait_until_migrated("bike_service", as_sqlalchemy(url), 1)


def test_a_database_that_nobody_migrates_is_waited_for_with_a_limit(database: str) -> None:
    url = as_sqlalchemy(database)
    with pytest.raises(WaitedTooLong, match=r"migration of the database of trip_service.*revision none, not at 0"):
        migrate.wait_until_migrated("trip_service", url, 1)
    waiting = eventlet.spawn(migrate.wait_until_migrated, "trip_service", url, 20)
    migrate.upgrade("trip_service", url)
    waiting.wait()


def test_an_older_revision_is_not_enough_and_a_newer_one_is(database: str, caplog: pytest.LogCaptureFixture) -> None:
    url = as_sqlalchemy(database)
    migrate.upgrade("bike_service", url)
    scripts = ScriptDirectory.from_config(migrate.alembic_config("bike_service", url))
    with closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("UPDATE alembic_version SET version_num = 'of the next version'")
    migrate.wait_until_migrated("bike_service", url, 1)
    assert "a revision of a newer version" in caplog.text
    # Who goes back to this version starts on it, too.
    migrate.upgrade("bike_service", url)
    assert query(url, "SELECT version_num FROM alembic_version") == [("of the next version",)]
    older = [script.revision for script in scripts.walk_revisions() if script.revision != scripts.get_current_head()]
    for revision in older:
        with closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cursor:
            cursor.execute("UPDATE alembic_version SET version_num = %s", (revision,))
        with pytest.raises(WaitedTooLong, match=f"it is at revision {revision}"):
            migrate.wait_until_migrated("bike_service", url, 1)


def database_environment(url: str) -> dict[str, str]:
    return {"AMQP_URI": "amqp://u:secret@127.0.0.1:1/", "BIKE_DATABASE_URL": url, "TRIP_DATABASE_URL": url}


def started(module: str, argument: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    """`python -m module argument` with no other settings than these."""
    inherited = {
        name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "COVERAGE_PROCESS_CONFIG")
    }
    return subprocess.Popen(
        [sys.executable, "-m", module, *argument.split()],
        cwd=ROOT,
        env={**inherited, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str], limit_s: float) -> tuple[int, str, str]:
    """Exit code, stdout and stderr once the process has ended; killed when it has not in time."""
    with process:
        try:
            out, err = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return process.returncode, out, err


def test_a_wrong_command_line_or_setting_is_one_clear_line() -> None:
    wrong: list[tuple[str, str, dict[str, str], str]] = [
        ("shared.run", "nonsense", {"AMQP_URI": "amqp://x/"}, "no service 'nonsense'"),
        ("shared.run", "bike_service", {}, "AMQP_URI is not set"),
        ("shared.run", "bike_service trip_service", {}, "usage"),
        ("shared.run", "bike_service", {**database_environment("postgresql://x/y"), "LOG_LEVEL": "LOUD"}, "LOG_LEVEL"),
        ("shared.run", "bike_service", {"AMQP_URI_FILE": "/none"}, "AMQP_URI_FILE: '/none' cannot be read"),
        (
            "shared.run",
            "bike_service",
            {**database_environment("postgresql://x/y"), "MIGRATE_AT_START": "no"},
            "MIGRATE_AT_START must be true or",
        ),
        ("shared.migrate", "nonsense", {}, "no service 'nonsense'"),
        ("shared.migrate", "gateway_service", {}, "no service 'gateway_service' with a database"),
        ("shared.migrate", "bike_service", {}, "BIKE_DATABASE_URL is not set"),
    ]
    processes = [started(module, argument, environment) for module, argument, environment, _ in wrong]
    for process, (module, _, _, says) in zip(processes, wrong, strict=True):
        code, out, err = ended(process, 60)
        assert (code, out) == (2 if module == "shared.run" else 1, "")
        assert len(err.strip().splitlines()) == 1
        assert says in err


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("no.service", {}, "no service"),
        ("os", {}, "no service"),
        ("shared", {}, "no service"),
        ("bike_service", {"AMQP_URI": "http://u:secret@x/"}, "AMQP_URI must be a URL"),
        ("bike_service", {"BIKE_DATABASE_URL": ""}, "BIKE_DATABASE_URL is not set"),
        ("bike_service", {"BIKE_DATABASE_URL": "mysql://u:secret@x/y"}, "BIKE_DATABASE_URL must be a URL"),
        ("bike_service", {"MAX_WORKERS": "0"}, "MAX_WORKERS"),
        ("bike_service", {"MAX_WORKERS": "1.5"}, "MAX_WORKERS"),
    ],
)
def test_a_wrong_service_or_setting_is_named(name: str, settings: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        load_service(name, {**database_environment("postgresql://x/y"), **settings})
    assert "secret" not in str(caught.value)


class Running:
    """bike_service as a process of its own; its log is read as it comes."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.process = started("shared.run", "bike_service", environment)
        self.lines: list[dict[str, Any]] = []
        self._reading = eventlet.spawn(self._read)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def says(self, message: str) -> bool:
        return any(message in line["message"] for line in self.lines)

    def terminate(self) -> float:
        """Send SIGTERM; the seconds until it has ended."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        eventually(lambda: self.process.poll() is not None, timeout=11)
        return time.monotonic() - began

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reading.wait()
        assert self.process.stderr is not None
        self.stderr = self.process.stderr.read()
        self.process.stderr.close()


@pytest.fixture
def links(amqp_uri: str, database: str) -> Iterator[tuple[TcpProxy, TcpProxy, dict[str, str]]]:
    """Proxies before broker and database, and bike_service's settings through them."""
    with in_front_of(amqp_uri) as (broker, uri), in_front_of(database) as (postgres, url):
        yield broker, postgres, {"AMQP_URI": uri, "BIKE_DATABASE_URL": url}


Links = tuple[TcpProxy, TcpProxy, dict[str, str]]


def test_a_service_logs_json_and_ends_cleanly_when_told_to(links: Links) -> None:
    with closing(Running(links[2])) as service:
        eventually(lambda: service.says("started"), timeout=30)
        assert service.terminate() < 10
        assert service.process.returncode == 0
    assert service.stderr == ""
    assert service.says("stopping")
    assert {"time", "level", "logger", "service", "message"} <= set(service.lines[-1])
    assert {line["service"] for line in service.lines} == {"bike_service"}


def test_a_service_ends_cleanly_while_broker_or_database_is_away(amqp_uri: str, database: str) -> None:
    """Three services side by side, each losing another thing in another way."""
    with ExitStack() as stack:
        services = []
        for lose in ("broker refuses", "broker is silent", "database is silent"):
            broker, uri = stack.enter_context(in_front_of(amqp_uri))
            postgres, url = stack.enter_context(in_front_of(database))
            service = stack.enter_context(closing(Running({"AMQP_URI": uri, "BIKE_DATABASE_URL": url})))
            lost = {
                "broker refuses": broker.refuse,
                "broker is silent": broker.pause,
                "database is silent": postgres.pause,
            }
            services.append((service, lost[lose]))
        for service, lose_it in services:
            eventually(lambda service=service: service.says("started"), timeout=60)  # type: ignore[misc]
            lose_it()
        took = list(eventlet.GreenPool().imap(lambda each: each[0].terminate(), services))
        assert max(took) < 10
        assert [service.process.returncode for service, _ in services] == [0, 0, 0]


@pytest.mark.parametrize("away", [0, 1], ids=["broker", "database"])
def test_a_service_that_waits_at_its_start_ends_at_once_when_told_to(away: int, links: Links) -> None:
    (links[1] if away else links[0]).refuse()
    with closing(Running(links[2])) as service:
        eventually(lambda: service.says("waiting for"), timeout=30)
        assert service.terminate() < 2
        assert service.process.returncode == 0


def test_a_service_starts_when_what_it_waits_for_is_there(links: Links) -> None:
    links[0].refuse()
    links[1].refuse()
    with closing(Running(links[2])) as service:
        eventually(lambda: service.says("waiting for database"), timeout=30)
        links[1].restore()
        eventually(lambda: service.says("waiting for broker"), timeout=30)
        links[0].restore()
        eventually(lambda: service.says("started"), timeout=30)
        service.terminate()


def test_a_service_that_waited_too_long_gives_up_with_an_error(links: Links) -> None:
    links[1].refuse()
    with closing(Running({**links[2], "STARTUP_TIMEOUT": "1"})) as service:
        eventually(lambda: service.process.poll() is not None, timeout=30)
        assert service.process.returncode == 1
    assert service.says("did not answer within 1 s")
    assert service.stderr == ""
