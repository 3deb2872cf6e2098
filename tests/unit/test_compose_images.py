"""Which images are built, from what, and when a container counts as well."""

from pathlib import Path

import pytest

from infrastructure.compose import engine, images
from infrastructure.compose.engine import Container
from infrastructure.compose.errors import ComposeError

BUILT = list[tuple[str, str, dict[str, str]]]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> BUILT:
    """(Dockerfile, tag, build arguments) of each image that was asked for; there is every image already."""
    asked: BUILT = []
    monkeypatch.setattr(engine, "build", lambda file, tag, root, arguments: asked.append((file, tag, dict(arguments))))
    monkeypatch.setattr(engine, "has_image", lambda name: True)
    return asked


def builder(environ: dict[str, str], offline: bool = False) -> images.Builder:
    return images.Builder(Path(), environ, offline, lambda text: None)


def test_services_stand_on_the_base_image_which_stands_on_an_official_one(built: BUILT) -> None:
    builder({}).parts()
    builder({}).services(["bike_service"])
    assert built == [
        ("infrastructure/Dockerfile.base", "bike-company/base:latest", {}),
        ("bike_service/Dockerfile", "bike-company/bike_service:latest", {"SERVICE_BASE": "bike-company/base:latest"}),
    ]


def test_offline_everything_stands_on_debian_s_packages(built: BUILT) -> None:
    environ = {**images.OFFLINE, "POSTGRES_IMAGE": "mine/postgres:17"}
    builder(environ, offline=True).parts()
    builder(environ, offline=True).services([])
    base = {"BASE_IMAGE": images.OFFLINE_BASE}
    assert built == [
        ("infrastructure/docker/Dockerfile.rabbitmq", images.OFFLINE["RABBITMQ_IMAGE"], base),
        ("infrastructure/Dockerfile.base", "bike-company/base:latest", base),
    ]


def test_offline_prometheus_is_built_when_it_is_asked_for_and_grafana_is_left_out(built: BUILT) -> None:
    environ = {"PROMETHEUS_IMAGE": images.OFFLINE["PROMETHEUS_IMAGE"], "PROFILE": "observability"}
    builder(environ, offline=True).parts()
    assert built[-1][1] == images.OFFLINE["PROMETHEUS_IMAGE"]
    assert images.profiles(environ, offline=True) == ["prometheus"]
    assert images.profiles(environ, offline=False) == ["observability"]
    own = {**environ, "GRAFANA_IMAGE": "mine/grafana:12"}
    assert images.profiles(own, offline=True) == ["observability"]
    assert images.profiles({}, offline=True) == []


def test_names_and_the_base_image_can_be_chosen(built: BUILT) -> None:
    environ = {"IMAGE_PREFIX": "registry.example.org/bikes/", "IMAGE_TAG": "1.2", "BASE_IMAGE": "python:3.12-slim"}
    builder(environ).services(["trip_service"])
    assert built[0][1:] == ("registry.example.org/bikes/base:1.2", {"BASE_IMAGE": "python:3.12-slim"})
    assert built[1][1] == "registry.example.org/bikes/trip_service:1.2"


def test_without_the_offline_base_the_way_to_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "has_image", lambda name: False)
    with pytest.raises(ComposeError, match="make docker-base"):
        builder({}, offline=True).services(["bike_service"])


def test_released_images_are_pulled_where_they_are_missing_and_nothing_is_built(
    built: BUILT, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled: list[str] = []
    monkeypatch.setattr(engine, "has_image", lambda name: "bike_service" in name)
    monkeypatch.setattr(engine, "pull", pulled.append)
    environ = {"IMAGE_PREFIX": "registry.example.org/bikes/", "IMAGE_TAG": "1.2", **images.OFFLINE}
    builder(environ).released(["bike_service", "trip_service"])
    stand_ins = [images.OFFLINE["RABBITMQ_IMAGE"], images.OFFLINE["POSTGRES_IMAGE"]]
    assert (built, pulled) == ([], ["registry.example.org/bikes/trip_service:1.2", *stand_ins])


@pytest.mark.parametrize(
    ("service", "state", "health", "exit_code", "well"),
    [
        ("bike_service", "running", "healthy", 0, True),
        ("bike_service", "running", "starting", 0, False),
        ("bike_service", "running", "unhealthy", 0, False),
        ("bike_service", "exited", "", 0, False),
        ("bike_service", "restarting", "", 1, False),
        ("bike_migrate", "exited", "", 0, True),
        ("bike_migrate", "exited", "", 1, False),
        ("bike_migrate", "running", "", 0, False),
    ],
)
def test_a_container_is_well(service: str, state: str, health: str, exit_code: int, well: bool) -> None:
    assert Container(f"x_{service}_1", service, state, health, exit_code).is_well is well
