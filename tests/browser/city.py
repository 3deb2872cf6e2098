"""A fleet to look at: bikes of a city, the same in every run."""

import random
from typing import Any

from tests.e2e.client import Client, Json, iso, now, ok

CENTRE = (-72.6301, 42.3201)
BATCH = 1000


def point(longitude: float, latitude: float) -> Json:
    return {"type": "Point", "coordinates": [round(longitude, 6), round(latitude, 6)]}


def place(chance: random.Random) -> Json:
    """Somewhere in the city, sooner near its centre."""
    return point(CENTRE[0] + chance.gauss(0, 0.03), CENTRE[1] + chance.gauss(0, 0.022))


def add_bikes(operator: Client, count: int, prefix: str, seed: int = 1) -> list[Json]:
    """`<prefix> 1` to `<prefix> <count>`, at places of the city, with some charge."""
    chance = random.Random(seed)
    bikes: list[dict[str, Any]] = [
        {"name": f"{prefix} {number}", "location": place(chance), "battery_percent": chance.randint(20, 100)}
        for number in range(1, count + 1)
    ]
    added: list[Json] = []
    for start in range(0, count, BATCH):
        answer = operator.post("/v1/bikes/batch", {"bikes": bikes[start : start + BATCH]})
        added += ok(answer, 201)["items"]
    return added


def report(operator: Client, bike: Json, location: Json) -> None:
    """The bike is there, now."""
    report_many(operator, {bike["id"]: location})


def report_many(operator: Client, places: dict[str, Json]) -> None:
    """Locations by the bikes' ids, of now."""
    at = iso(now())
    positions = [{"bike_id": bike_id, "recorded_at": at, "location": place} for bike_id, place in places.items()]
    ok(operator.post("/v1/positions", {"positions": positions}), 202)
