"""What `make docker-run` remembers from one call to the next, and for which project."""

import stat
from pathlib import Path

import pytest

from infrastructure.compose import engine, images, kept
from infrastructure.compose.engine import Container
from infrastructure.compose.errors import ComposeError
from infrastructure.compose.folder import Folder
from infrastructure.compose.stack import Stack
from infrastructure.local import files


def stack(folder: Path, environ: dict[str, str], said: list[str] | None = None) -> Stack:
    return Stack(Folder(folder), environ, (said if said is not None else []).append)


def run(folder: Path, environ: dict[str, str]) -> Stack:
    found = stack(folder, environ)
    found.keep_settings()
    return found


def test_settings_hold_until_they_are_given_anew_or_taken_back(tmp_path: Path) -> None:
    run(tmp_path, {"FARE_PER_MINUTE": "0.30", "GATEWAY_PORT": "8001", "IMAGE_TAG": "1.2", "HOME": "/home/x"})
    again = run(tmp_path, {"GATEWAY_PORT": "8002"})
    assert again.settings == {"FARE_PER_MINUTE": "0.30", "GATEWAY_PORT": "8002", "IMAGE_TAG": "1.2"}
    assert again.environ["FARE_PER_MINUTE"] == "0.30"
    assert again.gateway_url == "http://127.0.0.1:8002"
    run(tmp_path, {"FARE_PER_MINUTE": ""})
    last = stack(tmp_path, {})
    assert "FARE_PER_MINUTE" not in last.environ
    assert last.settings == {"GATEWAY_PORT": "8002", "IMAGE_TAG": "1.2"}
    assert stat.S_IMODE((tmp_path / "settings.json").stat().st_mode) == 0o600


def test_offline_holds_until_it_is_taken_back(tmp_path: Path) -> None:
    assert run(tmp_path, {"OFFLINE": "1"}).environ["POSTGRES_IMAGE"] == images.OFFLINE["POSTGRES_IMAGE"]
    assert stack(tmp_path, {}).offline
    assert not run(tmp_path, {"OFFLINE": "0"}).offline
    assert "POSTGRES_IMAGE" not in stack(tmp_path, {}).environ


def test_what_holds_is_said_without_passwords(tmp_path: Path) -> None:
    said: list[str] = []
    given = {"RATE_LIMIT": "5/minute", "RATE_LIMIT_STORAGE": "redis://:pass@store:6379/0"}
    stack(tmp_path, given, said).keep_settings()
    [line] = said
    assert "RATE_LIMIT=5/minute" in line
    assert "redis://***@store:6379/0" in line
    assert "pass" not in line


def test_all_that_is_set_for_the_services_is_kept() -> None:
    assert {"LOG_LEVEL", "STARTUP_TIMEOUT", "RATE_LIMIT_STORAGE", "OTEL_TRACES_SAMPLER", "BUILD"} <= set(kept.NAMES)
    assert not {"SERVICES", "PROCESSES", "VOLUMES", "PROFILE"} & set(kept.NAMES)


def containers(*states: tuple[str, str]) -> list[Container]:
    return [Container(f"x_{service}_1", service, state, "", 0) for service, state in states]


def test_what_runs_keeps_its_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_json(Folder(tmp_path).processes, {"bike_service": 3, "trip_service": 2, "gateway_service": 2})
    found = containers(("bike_service", "running"), ("gateway_service", "restarting"), ("trip_service", "exited"))
    monkeypatch.setattr(engine, "containers", lambda environ: found)
    numbers = {"bike_service": 3, "trip_service": 1, "gateway_service": 2}
    assert stack(tmp_path, {}).wanted().processes == numbers
    assert stack(tmp_path, {"PROCESSES": "bike=1"}).wanted().processes == {**numbers, "bike_service": 1}
    assert stack(tmp_path, {"SERVICES": "bike"}).wanted().processes == {"bike_service": 3, "gateway_service": 2}
    monkeypatch.setattr(engine, "containers", lambda environ: [])
    assert stack(tmp_path, {"SERVICES": "bike"}).wanted().processes == {"bike_service": 1}


def test_each_project_has_a_folder_of_its_own(tmp_path: Path) -> None:
    assert Folder.of({}, tmp_path).path == tmp_path / "docker" / "bike-company"
    assert Folder.of({"COMPOSE_PROJECT_NAME": "bike-tests"}, tmp_path).path == tmp_path / "docker" / "bike-tests"


@pytest.mark.parametrize("name", ["../x", "Bikes", "-x", "a/b", "x\n"])
def test_a_project_s_name_is_one_that_compose_takes(name: str, tmp_path: Path) -> None:
    with pytest.raises(ComposeError, match="COMPOSE_PROJECT_NAME"):
        Folder.of({"COMPOSE_PROJECT_NAME": name}, tmp_path)


def test_with_build_0_nothing_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(engine, "build", lambda *arguments: asked.append("build"))
    monkeypatch.setattr(engine, "has_image", lambda name: True)
    monkeypatch.setattr(engine, "containers", lambda environ: [])
    released = run(tmp_path, {"BUILD": "0", "SERVICES": "bike"})
    released.prepare_images(released.wanted())
    assert asked == []
    own = run(tmp_path, {"BUILD": "", "SERVICES": "bike"})
    own.prepare_images(own.wanted())
    assert asked == ["build", "build"]
