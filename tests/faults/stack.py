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
        # The same where one has to: see `start`.
        self.restarted_within_s = BACK_WITHIN_S

    @property
    def api(self) -> Api:
        return Api(self)

    def start(self) -> None:
        """Start the services; on a machine too busy to do that again in 3 s, restarts may take thrice what it took."""
        self.listener.declare()
        self.supervisor.start()
        self.wait_until_healthy(60)
        # The first start fills caches and makes tables, which no recovery has to do.
        self.supervisor.kill(*SERVICES)
        self.restarted_within_s = max(BACK_WITHIN_S, 3 * self.wait_until_healthy(60))
        self.bikes = [bike["id"] for bike in self.add_bikes(FLEET)]

    def reroute(self, route: Route = directly) -> None:
        """Start the services again, to meet broker and databases where `route` says; returns when all is well."""
        self.supervisor.environments = self._environments(route)
        self.supervisor.kill(*SERVICES)
        self.wait_until_healthy(60)

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
