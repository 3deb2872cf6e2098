"""The gateway as a WSGI application without sockets, workers or a broker: methods run at once, on fakes."""

import sys
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from werkzeug.test import Client

from gateway_service.feeds import Publisher
from gateway_service.fleet_view import FleetView
from gateway_service.reports import Reports
from gateway_service.service import GatewayService
from gateway_service.settings import Settings
from shared.errors import NotFound
from shared.http_app import HttpApp
from shared.http_policy import HttpPolicy
from shared.jwt import Verifier, mint

SECRET = "a secret for tests only, 32 bytes"
NOW = "2026-05-01T12:00:00Z"
BIKE_ID = "b6b1e0b4-0c1a-4c53-9d3b-2f0a0a7a0001"
TRIP_ID = "7f1e0b44-0c1a-4c53-9d3b-2f0a0a7a0002"
BIKE = {
    "id": BIKE_ID,
    "name": "one",
    "status": "available",
    "location": None,
    "located_at": None,
    "battery_percent": None,
    "vehicle_type_id": "bike",
    "created_at": NOW,
    "updated_at": NOW,
}
TRIP = {"id": TRIP_ID, "bike_id": BIKE_ID, "rider_id": "ann", "status": "active"}


def token(role: str, sub: str | None = None, **claims: Any) -> dict[str, str]:
    subject = sub or (BIKE_ID if role == "vehicle" else f"some {role}")
    return {"Authorization": "Bearer " + mint(SECRET, role, subject, timedelta(hours=1), **claims)}


class FakeService:
    """Stands for an RPC proxy: answers from `answers` (a value, or an exception to raise), and keeps the calls."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def with_timeout(self, seconds: float) -> "FakeService":
        return self

    def __getattr__(self, method: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((method, args, kwargs))
            answer = self.answers.get(method, NotFound("No such thing."))
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


class FakePublisher:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.published: list[tuple[str, str, bytes, dict[str, Any]]] = []

    def check(self, timeout: float) -> None:
        if self.error:
            raise self.error

    def publish(self, exchange: str, routing_key: str, body: bytes, **options: Any) -> None:
        self.check(0)
        self.published.append((exchange, routing_key, body, options))


class UnknownFleet:
    """A fleet that was never loaded."""

    view, age_s = FleetView(), 0.0

    def wait_loaded(self, seconds: float) -> bool:
        return False


class InlineContainer:
    """As much of a nameko container as an HTTP entrypoint needs; one for all tests, as binding takes its time."""

    def __init__(self, service_cls: type) -> None:
        self.service_cls = service_cls
        self.shared_extensions: dict[Any, Any] = {}
        self.config: dict[str, Any] = {}
        self.service: Any = None
        self.contexts: list[dict[str, Any]] = []
        for name in dir(service_cls):
            for entrypoint in getattr(getattr(service_cls, name), "nameko_entrypoints", ()):
                bound = entrypoint.bind(self, name)
                bound.setup()
                self.server = bound.server
        self.app = HttpApp(self.server)

    def spawn_worker(self, entrypoint, args, kwargs, context_data, handle_result):
        self.contexts.append(context_data)
        result = exc_info = None
        try:
            result = getattr(self.service, entrypoint.method_name)(*args, **kwargs)
        except Exception:  # handed on, as the container does
            exc_info = sys.exc_info()
        handle_result(None, result, exc_info)
        return SimpleNamespace(call_id_stack=[f"gateway_service.{entrypoint.method_name}.1"])


CONTAINER = InlineContainer(GatewayService)


SETTINGS = Settings.from_environment({"JWT_SECRET": SECRET, "RPC_TIMEOUT": "3"})


def one_by_one(method: Any) -> Any:
    """Stands for a BatchProxy: a call of its own for each."""
    return lambda timeout, **arguments: method(**arguments)


def gateway(
    bikes: FakeService | None = None,
    trips: FakeService | None = None,
    publisher: FakePublisher | None = None,
    policy: HttpPolicy | None = None,
) -> Any:
    """A client of the gateway on these fakes; each call begins anew for all clients."""
    service: Any = GatewayService()
    bikes, trips = bikes or FakeService(), trips or FakeService()
    service.bike_rpc, service.trip_rpc = bikes, trips
    service.bike_get, service.bike_near = one_by_one(bikes.get), one_by_one(bikes.near)
    service.trip_start, service.trip_end = one_by_one(trips.start), one_by_one(trips.end)
    service.publisher = publisher or FakePublisher()
    service.reports = Reports()
    service.reports.publisher = service.publisher
    service.feeds = Publisher(SETTINGS, UnknownFleet())
    service.config = {"SETTINGS": SETTINGS}
    CONTAINER.service, CONTAINER.contexts = service, []
    CONTAINER.server.policy = policy or HttpPolicy(verifier=Verifier.with_secret(SECRET))
    return Client(CONTAINER.app)
