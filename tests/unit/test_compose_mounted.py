"""What the containers mount: readable by all, whatever the checkout's modes are."""

import stat
from pathlib import Path

import pytest

from infrastructure.compose import mounted, rendering


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """As a checkout under umask 077."""
    made = tmp_path / "infrastructure"
    for name in (*mounted.MOUNTED[:3], "observability/prometheus.yml", "observability/grafana/dashboards/a.json"):
        (made / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (made / name).write_text(name)
        (made / name).chmod(0o600)
    return made


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


def test_copies_are_readable_and_scripts_executable(source: Path, tmp_path: Path) -> None:
    mounted.write(source, tmp_path / "mounted", "targets")
    found = modes(tmp_path / "mounted")
    assert found.pop("docker/make-service-database.sh") == 0o555
    folders = {"docker", "observability", "observability/targets", "observability/grafana",
               "observability/grafana/dashboards"}  # fmt: skip
    assert {name for name, mode in found.items() if mode == 0o755} == folders
    assert {mode for name, mode in found.items() if name not in folders} == {0o444}
    assert (tmp_path / "mounted" / mounted.GATEWAY_TARGETS).read_text() == "targets"


def test_what_has_not_changed_stays_the_same_file_and_what_is_gone_goes(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mounted"
    mounted.write(source, folder, "targets")
    before = {path: path.stat().st_ino for path in folder.rglob("*") if path.is_file()}
    (source / "observability/prometheus.yml").write_text("changed")
    (source / "observability/grafana/dashboards/a.json").unlink()
    mounted.write(source, folder, "targets")
    after = {path: path.stat().st_ino for path in folder.rglob("*") if path.is_file()}
    changed, gone = folder / "observability/prometheus.yml", folder / "observability/grafana/dashboards/a.json"
    assert changed.read_text() == "changed"
    assert before.keys() - after.keys() == {gone}
    assert {path for path, inode in after.items() if before[path] != inode} == {changed}


def test_everything_that_the_compose_file_mounts_is_there(tmp_path: Path) -> None:
    mounted.write(rendering.FOLDER, tmp_path, "targets")
    for name in (*mounted.MOUNTED, "observability/targets", "observability/grafana/provisioning"):
        assert (tmp_path / name).exists(), name
