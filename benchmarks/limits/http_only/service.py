"""The gateway's routes, policy and schemas, with answers that cost nothing: HTTP without RPC and without a broker."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nameko.extensions import ENTRYPOINT_EXTENSIONS_ATTR, DependencyProvider

from gateway_service.service import GatewayService
from shared.http import Answer, Call

Method = Callable[[Any, Call], Any]
BIKE = {
    "name": None,
    "status": "available",
    "location": {"type": "Point", "coordinates": [-72.63412345, 42.32123456]},
    "located_at": "2026-11-24T12:00:00.123456Z",
    "battery_percent": 71.5,
    "vehicle_type_id": "bike",
    "created_at": "2026-11-24T10:00:00.123456Z",
    "updated_at": "2026-11-24T10:00:00.123456Z",
}


class Nothing(DependencyProvider):
    """Stands where the gateway has a connection to others."""


def declared_as(original: Any) -> Callable[[Method], Method]:
    """The same route as `original`, answered by the decorated method."""

    def declare(method: Method) -> Method:
        setattr(method, ENTRYPOINT_EXTENSIONS_ATTR, getattr(original, ENTRYPOINT_EXTENSIONS_ATTR))
        return method

    return declare


class HttpOnly(GatewayService):
    """Every route is the gateway's own; only those that are measured have an answer."""

    name = "http_only"
    publisher = Nothing()
    feeds = Nothing()
    reports = Nothing()
    bike_rpc = Nothing()
    trip_rpc = Nothing()

    @declared_as(GatewayService.get_bike)
    def get_bike(self, call: Call) -> Any:
        return {"id": call.path["bike_id"], **BIKE}

    @declared_as(GatewayService.gbfs_vehicle_status)
    def gbfs_vehicle_status(self, call: Call) -> Any:
        return Answer(Path(os.environ["BENCH_STATIC"]).read_bytes())

    @declared_as(GatewayService.report_bike_positions)
    def report_bike_positions(self, call: Call) -> Any:
        return {"accepted": len(call.body["positions"])}
