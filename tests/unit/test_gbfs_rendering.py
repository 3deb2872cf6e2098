"""The feeds as bytes and as documents, and when they are built anew."""

import dataclasses
import gzip
import json
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import eventlet
import pytest
from werkzeug.datastructures import Headers

from gateway_service import gbfs_cache
from gateway_service.fleet_view import Bike, FleetView
from gateway_service.gbfs_body import Body
from gateway_service.gbfs_cache import VehicleFeed
from gateway_service.gbfs_documents import Documents
from gateway_service.gbfs_vehicles import VehicleWriter
from shared.errors import Unavailable
from shared.fares import Fares
from shared.gbfs_settings import of_environment
from tests.waiting import eventually

SETTINGS = of_environment({})
NOW = 1_780_000_000.0
PUBLIC = "0b6c1f2e-9d3a-4c57-8f10-a1b2c3d4e5f6"


def row(bike_id: str = "a", **other: Any) -> list[Any]:
    values = {"revision": 1, "status": "available", "vehicle_id": PUBLIC, "kind": "bike", "lon": 8.5, "lat": 47.3}
    values |= {"at": NOW - 60, "charge": None, "since": None, **other}
    return [bike_id, *values.values()]


def rendered(**other: Any) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(VehicleWriter(SETTINGS).encode(Bike(row(**other))))
    return shown


def test_a_bike_without_a_motor():
    assert rendered(lat=47.12345678, lon=-0.00000001) == {
        "vehicle_id": PUBLIC,
        "lat": 47.123457,
        "lon": 0,
        "last_reported": "2026-05-28T20:25:40Z",
        "is_reserved": False,
        "is_disabled": False,
        "vehicle_type_id": "bike",
        "pricing_plan_id": "standard",
        "rental_uris": {
            "android": f"https://bikes.example.org/app?vehicle={PUBLIC}",
            "ios": f"https://bikes.example.org/app?vehicle={PUBLIC}",
            "web": f"https://bikes.example.org/rent/{PUBLIC}",
        },
    }
    assert "current_range_meters" not in rendered(charge=50.0, since=NOW)


@pytest.mark.parametrize(
    ("charge", "meters", "fuel"), [(None, 0, None), (0.0, 0, 0), (50.99, 30_000, 0.5), (100.0, 60_000, 1)]
)
def test_the_range_of_one_with_a_motor_follows_its_charge(
    charge: float | None, meters: int, fuel: float | None
) -> None:
    shown = rendered(kind="ebike", charge=charge, since=NOW)
    assert (shown["current_range_meters"], shown.get("current_fuel_percent")) == (meters, fuel)


@pytest.mark.parametrize(
    ("status", "reserved", "disabled"),
    [("available", False, False), ("reserved", True, False), ("out_of_service", False, True)],
)
def test_flags(status: str, reserved: bool, disabled: bool) -> None:
    shown = rendered(status=status)
    assert (shown["is_reserved"], shown["is_disabled"]) == (reserved, disabled)


def test_links_are_left_out_where_there_are_none():
    writer = VehicleWriter(dataclasses.replace(SETTINGS, rental_uris={}))
    assert "rental_uris" not in json.loads(writer.encode(Bike(row())))


def view_of(*rows: list[Any]) -> FleetView:
    view = FleetView()
    view.merge(rows)
    return view


def test_the_document_leaves_out_what_it_cannot_have():
    view = view_of(
        row("good", vehicle_id="b"),
        row("too old", vehicle_id="a", at=NOW - SETTINGS.stale_after_s - 1),
        row("nowhere", vehicle_id="c", lon=None, lat=None, at=None),
        row("unknown type", vehicle_id="d", kind="rocket"),
        row("also good", vehicle_id="aa"),
    )
    document = json.loads(VehicleWriter(SETTINGS).build(view.in_order(), NOW).text)
    assert [each["vehicle_id"] for each in document["data"]["vehicles"]] == ["aa", "b"]
    assert (document["last_updated"], document["ttl"], document["version"]) == ("2026-05-28T20:26:40Z", 5, "3.0")
    assert json.loads(VehicleWriter(SETTINGS).build([], NOW).text)["data"] == {"vehicles": []}


def test_a_body_is_given_in_the_coding_that_is_taken():
    body = Body(b"{}" * 500, 7)
    plain, packed = (body.answer(Headers({"Accept-Encoding": each})) for each in ("identity", "br, gzip;q=0.5"))
    assert plain.body == gzip.decompress(packed.body)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert plain.headers["ETag"] != packed.headers["ETag"]
    assert plain.headers["Cache-Control"] == "max-age=7"
    for tag in (plain.headers["ETag"], packed.headers["ETag"], f"W/{plain.headers['ETag']}", "*"):
        assert body.answer(Headers({"If-None-Match": tag})).status == 304
    assert body.answer(Headers({"If-None-Match": '"x"'})).status is None
    assert Body(b"{}" * 500, 7).etag == body.etag != Body(b"[]" * 500, 7).etag


class FakeFleet:
    """A fleet of which a test says how old it is."""

    def __init__(self, view: FleetView) -> None:
        self.view, self.age_s, self.is_loaded = view, 0.0, True

    def wait_loaded(self, seconds: float) -> bool:
        return self.is_loaded


@pytest.fixture
def fleet() -> FakeFleet:
    return FakeFleet(view_of(row(at=time.time())))


@pytest.fixture
def feed(fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch) -> VehicleFeed:
    monkeypatch.setattr(gbfs_cache, "BUILD_PAUSE_S", 0.0)
    return VehicleFeed(fleet, VehicleWriter(SETTINGS), 60)


def test_what_has_not_changed_is_not_built_again(fleet: FakeFleet, feed: VehicleFeed) -> None:
    body = feed.current()
    assert feed.current() is body
    fleet.view.hear_positions(
        [{"bike_id": "a", "recorded_at": "2099-01-01T00:00:00Z", "location": {"type": "Point", "coordinates": [1, 2]}}]
    )
    # The answer of just now is given while the next is made.
    assert feed.current() is body
    eventually(lambda: json.loads(feed.current().text)["data"]["vehicles"][0]["lon"] == 1)


def test_after_a_pause_nobody_gets_what_is_old(
    fleet: FakeFleet, feed: VehicleFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.current()
    monkeypatch.setattr(gbfs_cache, "FRESH_S", 0.0)
    fleet.view.forget(["a"])
    assert json.loads(feed.current().text)["data"]["vehicles"] == []


def test_all_who_ask_at_once_share_one_build(feed: VehicleFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    builds = list[float]()
    build = VehicleWriter.build

    def counted(self: VehicleWriter, bikes: Any, as_of: float) -> Body:
        builds.append(as_of)
        return build(self, bikes, as_of)

    monkeypatch.setattr(VehicleWriter, "build", counted)
    asking = [eventlet.spawn(feed.current) for _ in range(20)]
    assert len({id(each.wait()) for each in asking}) == 1
    assert len(builds) == 1


def test_without_news_the_document_keeps_its_time_and_then_gives_up(fleet: FakeFleet, feed: VehicleFeed) -> None:
    fleet.age_s = 200.0
    updated = datetime.fromisoformat(json.loads(feed.current().text)["last_updated"])
    assert timedelta(seconds=199) <= datetime.now(UTC) - updated <= timedelta(seconds=202)
    fleet.age_s = 300.5
    with pytest.raises(Unavailable) as refused:
        feed.current()
    assert refused.value.retry_after
    fleet.age_s = 0.0
    feed.current()


def test_a_fleet_that_was_never_loaded_is_not_an_empty_one(fleet: FakeFleet, feed: VehicleFeed) -> None:
    fleet.is_loaded = False
    with pytest.raises(Unavailable):
        feed.current()


def test_an_error_is_everybodys_who_waits_and_the_next_try_is_a_new_one(
    feed: VehicleFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(VehicleWriter, "build", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            feed.current()
    assert feed.current()


def documents(**changes: Any) -> Documents:
    fares = Fares(Decimal("1.50"), Decimal("0.25"), "CHF")
    return Documents(dataclasses.replace(SETTINGS, **changes), fares, datetime(2099, 1, 1, tzinfo=UTC))


def test_the_pricing_plan_is_trip_services_tariff():
    document = documents().system_pricing_plans()
    [plan] = document["data"]["plans"]
    assert (plan["price"], plan["currency"]) == (1.5, "CHF")
    assert plan["per_min_pricing"] == [{"start": 0, "rate": 0.25, "interval": 1}]
    assert plan["description"][0]["text"] == "1.50 CHF to unlock, and 0.25 CHF for each minute begun."
    assert document["last_updated"] == "2099-01-01T00:00:00Z"


def test_alerts_that_are_over_are_left_out():
    start, end = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 2, tzinfo=UTC)
    alert = {"alert_id": "1", "type": "other", "summary": [], "times": [{"start": start, "end": end}]}
    some = documents(alerts=[alert])
    assert some.system_alerts(end) is None
    assert "system_alerts" not in str(some.gbfs("http://x", end))
    during = some.system_alerts(start)
    assert during is not None
    assert during["data"]["alerts"][0]["times"] == [{"start": "2026-05-01T00:00:00Z", "end": "2026-05-02T00:00:00Z"}]
    assert "http://x/gbfs/3.0/system_alerts.json" in str(some.gbfs("http://x", start))
