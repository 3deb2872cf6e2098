"""What the GBFS entrypoints answer with, one a process: it keeps what takes time to make."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from gateway_service.fleet import Fleet
from gateway_service.gbfs_body import Body
from gateway_service.gbfs_cache import KnownFleet, VehicleFeed
from gateway_service.gbfs_documents import Documents
from gateway_service.gbfs_vehicles import VehicleWriter
from gateway_service.settings import Settings
from shared import http_json
from shared.http import Answer, Call
from shared.problems import Problem

BEGUN_AT = datetime.now(UTC)
# A name of a network of containers may have an underscore; RFC 3986 lets a host have it (reg-name).
HOST = re.compile(
    r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?", re.ASCII
)


class Publisher:
    """The documents of the settings, and the bikes of the fleet."""

    def __init__(self, settings: Settings, fleet: KnownFleet) -> None:
        self._settings, self._ttl_s = settings, settings.gbfs.others_ttl_s
        self.documents = Documents(settings.gbfs, settings.fares, BEGUN_AT)
        self.vehicles = VehicleFeed(fleet, VehicleWriter(settings.gbfs), settings.gbfs.vehicles_ttl_s)
        # Few addresses are real ones; whoever makes some up gets theirs, and keeps nothing else from being kept.
        self._body_of = lru_cache(maxsize=64)(lambda text: Body(text, self._ttl_s))

    def answer(self, call: Call, document: Any) -> Answer:
        """The document in the form that the client takes."""
        return self._body_of(http_json.dump(document)).answer(call.headers)

    def base_url(self, call: Call) -> str:
        """How this client reaches the gateway; raises Problem 400 for a Host that is none."""
        if self._settings.public_url is not None:
            return self._settings.public_url
        host = call.headers.get("Host") or ""
        if not HOST.fullmatch(host):
            raise Problem(400, "The header Host is no host.")
        return f"http://{host}"


class Feeds(Fleet):
    """Injects the process's Publisher, and keeps the fleet that it publishes."""

    publisher_of_feeds: Publisher

    def setup(self) -> None:
        super().setup()
        self.publisher_of_feeds = Publisher(self.container.config["SETTINGS"], self)

    def get_dependency(self, worker_ctx: Any) -> Publisher:
        return self.publisher_of_feeds
