"""The GBFS feeds as a journey planner reads them."""

from typing import Any

import requests

from tests.e2e.client import Client, Json, eventually, ok

VEHICLES = "/gbfs/3.0/vehicle_status.json"
FEEDS = ("gbfs_versions", "system_information", "vehicle_types", "vehicle_status", "system_pricing_plans")


def data(client: Client, path: str) -> Any:
    """What a feed holds."""
    document = ok(client.get(path))
    assert set(document) == {"last_updated", "ttl", "version", "data"}
    return document["data"]


def vehicles(client: Client) -> list[Json]:
    found: list[Json] = data(client, VEHICLES)["vehicles"]
    return found


def at(client: Client, place: Any) -> list[Json]:
    """The vehicles of the feed that stand there."""
    longitude, latitude = place
    return [each for each in vehicles(client) if (each["lon"], each["lat"]) == (longitude, latitude)]


def shown_at(client: Client, place: Any, timeout: float = 5.0) -> Json:
    """The one vehicle there, as soon as the feed has it: within the 5 s that the contract gives."""
    [vehicle] = eventually(lambda: at(client, place), timeout)
    return vehicle


def gone_from(client: Client, place: Any, timeout: float = 5.0) -> None:
    eventually(lambda: not at(client, place), timeout)


def plain(client: Client, path: str, **headers: str) -> requests.Response:
    """The answer to a client that takes no coding unless `headers` say so."""
    return client.get(path, headers={"Accept-Encoding": "identity", **headers})
