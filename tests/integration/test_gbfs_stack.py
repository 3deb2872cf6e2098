"""The feeds of a running stack: judged by an independent validator, without the broker, and beside closed bikes."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import gbfs_validator
import pytest
import requests
import yaml

from shared import gbfs_settings
from tests.conftest import PrivateParts
from tests.e2e import gbfs
from tests.e2e.client import Api, Client, Json, now, ok, problem
from tests.e2e.geo import far_away, point
from tests.integration.builders import new_id, query
from tests.integration.conftest import as_sqlalchemy
from tests.integration.tcp_proxy import TcpProxy, in_front_of
from tests.stack import RunningStack, free_port, running_services, running_stack
from tests.waiting import eventually

ALERTS = [
    {
        "alert_id": "storm",
        "type": "system_closure",
        "summary": {"en": "Storm", "de": "Sturm", "fr": "Tempête"},
        "times": [{"start": "2026-01-01T00:00:00Z", "end": "2999-01-01T00:00:00Z"}],
        "url": {language: f"https://bikes.example.org/{language}/storm" for language in ("en", "de", "fr")},
        "last_updated": "2026-01-01T00:00:00Z",
    },
    {
        "alert_id": "past",
        "type": "other",
        "summary": {"en": "Past", "de": "Vorbei", "fr": "Passé"},
        "times": [{"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}],
    },
]


@dataclass
class Gateway:
    """One that reaches the broker through `proxy`."""

    url: str
    proxy: TcpProxy

    @property
    def client(self) -> Client:
        return Client(self.url)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default settings with alerts."""
    path: Path = tmp_path_factory.mktemp("gbfs") / "gbfs.yaml"
    default = yaml.safe_load(gbfs_settings.DEFAULT.read_text())
    path.write_text(yaml.safe_dump({**default, "alerts": ALERTS}, allow_unicode=True))
    return path


@pytest.fixture(scope="module")
def stack(
    private_parts: PrivateParts, tmp_path_factory: pytest.TempPathFactory, config: Path
) -> Iterator[RunningStack]:
    with running_stack(private_parts, tmp_path_factory.mktemp("logs"), GBFS_CONFIG=str(config)) as running:
        yield running


@pytest.fixture(scope="module")
def operator(stack: RunningStack) -> Client:
    return Api(stack).operator()


@pytest.fixture(scope="module")
def second(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A second gateway of the stack, whose bikes are not public."""
    address = f"127.0.0.1:{free_port()}"
    usual = stack.environments["gateway_service"]
    with in_front_of(usual["AMQP_URI"]) as (proxy, amqp_uri):
        environment = {
            **usual,
            "AMQP_URI": amqp_uri,
            "GATEWAY_ADDRESS": address,
            "PUBLIC_BIKES": "false",
            "PUBLIC_URL": "https://bikes.example.org/api",
        }
        logs = tmp_path_factory.mktemp("second")
        with running_services(f"http://{address}", logs, {"gateway_service": environment}):
            yield Gateway(f"http://{address}", proxy)


def fleet(operator: Client, stack: RunningStack) -> dict[str, list[Json]]:
    """A bike of each type and status, by status; and one that was heard of long ago."""
    added: dict[str, list[Json]] = {}
    database = as_sqlalchemy(stack.bike_database_url)
    for status in ("available", "reserved", "in_use", "out_of_service", "retired", "stale"):
        bikes = [
            {"vehicle_type_id": kind, "location": point(far_away()), "battery_percent": battery}
            for kind, battery in (("bike", None), ("ebike", 83.7), ("cargo", None), ("cargo", 100))
        ]
        places = [bike.pop("location") if status == "stale" else None for bike in bikes]
        added[status] = ok(operator.post("/v1/bikes/batch", {"bikes": bikes}), 201)["items"]
        for each, place in zip(added[status], places, strict=True):
            each["location"] = each["location"] or place
    for each in added["reserved"]:
        # No route reserves a bike yet.
        query(database, "UPDATE bikes SET status = 'reserved' WHERE id = :id", id=each["id"])
    for each in added["stale"]:
        # Its only place, for a gateway goes on with the newest that it has heard of.
        place = "longitude = :longitude, latitude = :latitude, located_at = now() - interval '4 d'"
        longitude, latitude = each["location"]["coordinates"]
        query(
            database,
            f"UPDATE bikes SET {place} WHERE id = :id",
            id=each["id"],
            longitude=longitude,
            latitude=latitude,
        )
    for each in added["reserved"] + added["stale"]:
        # An event, so that the gateways look again.
        ok(operator.patch(f"/v1/bikes/{each['id']}", {"name": new_id()}))
    for each in added["in_use"]:
        ok(Api(stack).rider().post("/v1/trips", {"bike_id": each["id"]}), 201)
    for each in added["out_of_service"]:
        ok(operator.patch(f"/v1/bikes/{each['id']}", {"status": "out_of_service"}))
    for each in added["retired"]:
        operator.delete(f"/v1/bikes/{each['id']}")
    return added


def flags_at(client: Client, bike: Json) -> list[tuple[bool, bool]]:
    return [(each["is_reserved"], each["is_disabled"]) for each in gbfs.at(client, bike["location"]["coordinates"])]


def test_an_independent_validator_finds_no_fault_with_a_fleet_of_all_kinds(
    stack: RunningStack, operator: Client
) -> None:
    added = fleet(operator, stack)
    expected: dict[str, list[tuple[bool, bool]]] = {
        "available": [(False, False)],
        "reserved": [(True, False)],
        "in_use": [],
        "out_of_service": [(False, True)],
        "retired": [],
        "stale": [],
    }
    for status, flags in expected.items():
        for bike in added[status]:
            eventually(lambda bike=bike, flags=flags: flags_at(operator, bike) == flags)  # type: ignore[misc]
    report = gbfs_validator.validate_feed(f"{stack.gateway_url}/gbfs/3.0/gbfs.json", freefloating=True)
    files = {each["file"].removesuffix(".json"): each for each in report["files"]}
    assert report["summary"]["hasErrors"] is False, report
    assert report["summary"]["errorsCount"] == 0
    assert report["summary"]["version"]["detected"] == "3.0"
    # What it would have, and we do not: a system without stations, regions and zones has nothing to say there.
    missing = {name for name, each in files.items() if not each["exists"]}
    assert missing == {"manifest", "station_information", "station_status", "system_regions", "geofencing_zones"}
    assert not any(each["required"] for name, each in files.items() if name in missing)


def test_the_manifest_is_valid_too(stack: RunningStack) -> None:
    # It leads to the feeds, which do not lead back to it: the validator looks for it only beside gbfs.json.
    schema = gbfs_validator.feed.load_schema("3.0", "manifest")
    document = ok(requests.get(f"{stack.gateway_url}/gbfs/manifest.json", timeout=10))
    assert gbfs_validator.feed.validate_file(schema, document)["errors"] is False


def test_alerts_that_are_not_over_are_published(stack: RunningStack, operator: Client) -> None:
    [alert] = gbfs.data(operator, "/gbfs/3.0/system_alerts.json")["alerts"]
    assert alert["alert_id"] == "storm"
    assert alert["times"] == [{"start": "2026-01-01T00:00:00Z", "end": "2999-01-01T00:00:00Z"}]
    feeds = gbfs.data(operator, "/gbfs/3.0/gbfs.json")["feeds"]
    assert f"{stack.gateway_url}/gbfs/3.0/system_alerts.json" in [each["url"] for each in feeds]


def test_links_are_those_of_the_public_address(second: Gateway) -> None:
    [version] = gbfs.data(second.client, "/gbfs/3.0/gbfs_versions.json")["versions"]
    assert version["url"] == "https://bikes.example.org/api/gbfs/3.0/gbfs.json"


def test_closed_bikes_ask_for_a_token_and_the_feeds_do_not(
    second: Gateway, stack: RunningStack, operator: Client
) -> None:
    bike = ok(operator.post("/v1/bikes", {}), 201)
    for path in ("/v1/bikes", "/v1/bikes?lat=1&lon=1", f"/v1/bikes/{bike['id']}"):
        refused = second.client.get(path)
        problem(refused, 401)
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
        for role in ("rider", "operator", "vehicle"):
            ok(Client(second.url, Api(stack).token(role)).get(path))
        ok(Client(stack.gateway_url).get(path))
    gbfs.data(second.client, gbfs.VEHICLES)


def test_without_the_broker_the_feed_says_its_age_and_catches_up_afterwards(second: Gateway, operator: Client) -> None:
    first_place, second_place = far_away(), far_away()
    ok(operator.post("/v1/bikes", {"location": point(first_place)}), 201)
    gbfs.shown_at(second.client, first_place)
    second.proxy.refuse()
    lost_at = now()
    ok(operator.post("/v1/bikes", {"location": point(second_place)}), 201)
    gbfs.shown_at(operator, second_place)
    # What the gateway knew of is in the feed for as long as its time says; then it stands still.
    eventually(lambda: (now() - lost_at).total_seconds() > 8)
    one = gbfs.plain(second.client, gbfs.VEHICLES)
    assert datetime.fromisoformat(ok(one)["last_updated"]) <= lost_at
    assert gbfs.at(second.client, first_place)
    assert not gbfs.at(second.client, second_place)
    again = gbfs.plain(second.client, gbfs.VEHICLES, **{"If-None-Match": one.headers["ETag"]})
    assert again.status_code == 304
    second.proxy.restore()
    gbfs.shown_at(second.client, second_place, timeout=30)
    assert datetime.fromisoformat(ok(second.client.get(gbfs.VEHICLES))["last_updated"]) > lost_at
