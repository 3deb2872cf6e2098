"""Builders of positions, and waits for what becomes of them."""

from datetime import datetime, timedelta
from typing import Any

from tests.e2e.client import Client, Json, eventually, iso, now, ok, parse_time
from tests.e2e.geo import Place, far_away, point


def position(place: Place | None = None, recorded_at: datetime | None = None, **fields: Any) -> Json:
    return {
        "recorded_at": iso(recorded_at or now()),
        "location": point(place or far_away()),
        **fields,
    }


def report(client: Client, bike_id: str, positions: list[Json]) -> None:
    """Accepted in full by `POST /v1/bikes/{id}/positions`."""
    answer = ok(client.post(f"/v1/bikes/{bike_id}/positions", {"positions": positions}), 202)
    assert answer == {"accepted": len(positions)}


def report_fleet(client: Client, positions: list[Json]) -> None:
    """Accepted in full by `POST /v1/positions`."""
    assert ok(client.post("/v1/positions", {"positions": positions}), 202) == {"accepted": len(positions)}


def is_at(client: Client, bike_id: str, expected: Json) -> bool:
    """Whether a bike is where and since when a position says."""
    bike = ok(client.get(f"/v1/bikes/{bike_id}"))
    if bike["location"] is None:
        return False
    same_time = parse_time(bike["located_at"]) == parse_time(expected["recorded_at"])
    return same_time and same_place(bike["location"]["coordinates"], expected["location"]["coordinates"])


def same_place(a: Any, b: Any) -> bool:
    return all(abs(x - y) < 1e-6 for x, y in zip(a, b, strict=True))


def wait_at(client: Client, bike_id: str, expected: Json) -> None:
    eventually(lambda: is_at(client, bike_id, expected))


def seconds_ago(seconds: float) -> datetime:
    return now() - timedelta(seconds=seconds)
