import shutil
import subprocess
from pathlib import Path

import pytest

from infrastructure.local import migrations, slate
from infrastructure.local.errors import LocalError
from infrastructure.local.layout import ROOT, Layout


def test_a_new_revision_follows_the_last_one(tmp_path):
    shutil.copytree(ROOT / "bike_service" / "migrations", tmp_path / "migrations")
    last = max(int(file.name[:4]) for file in (tmp_path / "migrations" / "versions").glob("[0-9]*.py"))
    written = [migrations.write_revision("bike_service", name, tmp_path / "migrations") for name in ("one", "two")]
    assert [file.name for file in written] == [f"{last + 1:04d}_one.py", f"{last + 2:04d}_two.py"]
    text = written[1].read_text()
    assert text.startswith('"""Two."""\n')
    assert f'revision = "{last + 2:04d}"\ndown_revision = "{last + 1:04d}"\n' in text


@pytest.mark.parametrize("name", ["", "Drop", "1st", "../x", "a" * 40, "naïve"])
def test_a_revision_needs_a_name_that_makes_a_file(name, tmp_path):
    with pytest.raises(LocalError, match="make migration NAME="):
        migrations.migration(Layout(tmp_path), {"SERVICE": "bike", "NAME": name})


@pytest.mark.parametrize(
    ("environ", "says"),
    [({}, "SERVICE must be one of bike, trip, gateway"), ({"SERVICE": "gateway"}, "gateway_service has no database")],
)
def test_only_a_service_with_a_database_can_be_migrated(environ, says, tmp_path):
    with pytest.raises(LocalError, match=says):
        migrations.migrate(Layout(tmp_path), environ)


def test_without_a_stack_migrating_names_the_way_out(tmp_path: Path):
    with pytest.raises(LocalError, match="make up, or name a database with TRIP_DATABASE_URL"):
        migrations.migrate(Layout(tmp_path), {"SERVICE": "trip", "TRIP_DATABASE_URL": ""})


def test_migrating_is_given_the_database_and_no_broker(tmp_path, monkeypatch):
    given: list[dict[str, str]] = []

    def run(arguments: list[str], env: dict[str, str], **_: object) -> subprocess.CompletedProcess[str]:
        given.append(env)
        return subprocess.CompletedProcess(arguments, 0)

    monkeypatch.setattr(subprocess, "run", run)
    environ = {"SERVICE": "trip", "TRIP_DATABASE_URL": "postgresql://h/trips"}
    assert migrations.migrate(Layout(tmp_path), environ) == 0
    assert given == [environ]


@pytest.mark.parametrize(
    "queue",
    [
        "bike_service.positions",
        "bike_service.positions.dead",
        "evt-trip_service-trip_ended--bike_service.on_trip_ended",
        "evt-trip_service-trip_ended--bike_service.on_trip_ended.retry.30s",
        "rpc-bike_service",
        "rpc.reply-bike_service-9ac",
    ],
)
def test_a_services_queues_are_known_by_their_names(queue):
    assert slate.is_of("bike_service", queue)
    assert not slate.is_of("trip_service", queue)


def test_cleaning_a_service_asks_and_takes_no_answer_for_a_no(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", (tmp_path / "empty").open("w+"))
    with pytest.raises(LocalError, match="make clean FORCE=1"):
        slate.clean_service(Layout(tmp_path), {"SERVICE": "bike"})
