"""A whole company on the servers of the tests: a vhost and databases of its own, three supervised services, a fleet."""

import secrets
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import eventlet
import requests
from kombu import Connection

from tests.conftest import unique_name
from tests.e2e.client import Api, ok
from tests.faults.listener import Listener
from tests.faults.load_handle import Load
from tests.faults.servers import Servers
from tests.faults.supervisor import SERVICES, Supervisor
from tests.stack import free_port

Json = dict[str, Any]
# Turns the broker's and the databases' URLs, by (service, "broker" | "database"), into what the service is given.
Route = Callable[[str, str, str], str]
FLEET = 16
# Seconds from a fault's end until all is well again, where no process has to start again.
BACK_WITHIN_S = 10.0


def directly(service: str, what: str, url: str) -> str:
    """The route that leads nowhere else."""
    return url


class Stack:
    """`servers` are those of the whole run; everything on them is this stack's own."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        self.servers, self.folder, self.jwt_secret = servers, folder, secrets.token_hex(32)
        self.vhost = unique_name("faults")
        self.amqp_uri = servers.broker.server.add_vhost(self.vhost)
        self.database_urls = {
            name: database.server.create_database(unique_name(name)) for name, database in servers.databases.items()
        }
        # These are what `tests.e2e.client.Api` takes a stack for.
        self.bike_database_url = self.database_urls["bike_service"]
        self.trip_database_url = self.database_urls["trip_service"]
        self.admin_database_url = servers.databases["trip_service"].server.admin_url
        self.gateway_url = f"http://127.0.0.1:{free_port()}"
        folder.mkdir(parents=True, exist_ok=True)
        self.supervisor = Supervisor(self._environments(directly), folder)
        self.listener = Listener(self.amqp_uri)
        self.bikes: list[str] = []
        # Seconds that the last restart of all services took.
        self.restart_s: float | None = None

    @property
    def api(self) -> Api:
        return Api(self)

    def start(self) -> None:
        self.listener.declare()
        self.supervisor.start()
        self.wait_until_healthy(60)
        self.bikes = [bike["id"] for bike in self.add_bikes(FLEET)]

    def restart(self) -> None:
        """Start the services again at once; returns when all is well."""
        self.supervisor.kill(*SERVICES)
        self.restart_s = self.wait_until_healthy(60)

    def restarted_within_s(self) -> float:
        """BACK_WITHIN_S where a process has to start again; on a slow machine, thrice what a restart takes.

        Not what the first start took, which fills caches and makes tables. Nobody may need the services at this call.
        """
        if self.restart_s is None:
            self.restart()
        assert self.restart_s is not None
        return max(BACK_WITHIN_S, 3 * self.restart_s)

    def reroute(self, route: Route = directly) -> None:
        """Let each service, from its next start, meet the broker and its database where `route` says."""
        self.supervisor.environments = self._environments(route)

    def add_bikes(self, count: int) -> list[Json]:
        bikes = [{"name": f"fleet-{uuid.uuid4()}"} for _ in range(count)]
        items: list[Json] = ok(self.api.operator().post("/v1/bikes/batch", {"bikes": bikes}), 201)["items"]
        return items

    def load(self, seed: int, riders: int = 6) -> Load:
        """Riders and a platform, started when the context is entered."""
        order = {
            "gateway_url": self.gateway_url, "amqp_uri": self.amqp_uri, "secret": self.jwt_secret,
            "bikes": self.bikes, "riders": riders, "seed": seed,
            "ledger": str(self.folder / f"ledger-{uuid.uuid4()}.jsonl"),
        }  # fmt: skip
        return Load(order)

    def is_healthy(self) -> bool:
        with suppress(requests.RequestException), requests.Session() as session:
            session.trust_env = False
            return session.get(f"{self.gateway_url}/health", timeout=3).status_code == 200
        return False

    def wait_until_healthy(self, limit_s: float) -> float:
        """Seconds until `/health` was 200; fails with the ends of the logs after `limit_s`."""
        since = time.monotonic()
        while not self.is_healthy():
            assert time.monotonic() - since < limit_s, f"not healthy within {limit_s:g} s\n{self.logs()}"
            eventlet.sleep(0.1)
        return time.monotonic() - since

    def query(self, service: str, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Rows of a service's database."""
        return self.servers.databases[service].query(statement, *arguments, url=self.database_urls[service])

    def purge(self, *queues: str) -> None:
        """Leave nothing in them."""
        with Connection(self.amqp_uri) as connection, connection.channel() as channel:
            for queue in queues:
                channel.queue_purge(queue)

    def logs(self, lines: int = 10) -> str:
        """The last lines that each service has logged, of those that are no routine."""
        parts = []
        for name in SERVICES:
            logged = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()
            parts += [f"== {name}", *[line[:400] for line in logged if '"level": "INFO"' not in line][-lines:]]
        return "\n".join(parts)

    def _environments(self, route: Route) -> dict[str, dict[str, str]]:
        """What each service is started with."""
        databases = {
            f"{name.removesuffix('_service').upper()}_DATABASE_URL": route(name, "database", url)
            for name, url in self.database_urls.items()
        }
        common = {
            **databases, "JWT_SECRET": self.jwt_secret, "GATEWAY_ADDRESS": self.gateway_url.removeprefix("http://"),
        }  # fmt: skip
        return {name: {**common, "AMQP_URI": route(name, "broker", self.amqp_uri)} for name in SERVICES}

    def stop(self) -> None:
        """Stops the services; fails when one does not end as it should."""
        codes = self.supervisor.stop()
        self.servers.broker.server.delete_vhost(self.vhost)
        for name, url in self.database_urls.items():
            self.servers.databases[name].server.drop_database(urlsplit(url).path[1:])
        assert set(codes.values()) == {0}, codes
