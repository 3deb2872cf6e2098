import os
import subprocess
from pathlib import Path

import pytest

from infrastructure.local import leash, leftovers, program
from infrastructure.local.layout import Layout
from infrastructure.local.process import leashed
from tests.waiting import eventually


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / ".local")
    made.make()
    return made


def test_a_recorded_process_is_known_by_pid_and_start(layout):
    file = layout.pids / "rabbitmq"
    leash.record(file)
    assert leftovers.alive(file) == os.getpid()


@pytest.mark.parametrize("content", ["", "garbage", f"{os.getpid()} another-boot:1", "999999999 x:1"])
def test_anything_else_is_not_our_process(layout, content):
    file = layout.pids / "rabbitmq"
    file.write_text(content)
    assert leftovers.alive(file) is None


def test_stale_records_are_forgotten_and_nothing_is_signalled(layout):
    (layout.pids / "postgres").write_text(f"{os.getpid()} another-boot:1\n")
    assert leftovers.end_leftovers(layout) == []
    assert list(layout.pids.iterdir()) == []


def test_postgres_is_told_to_cut_its_connections():
    assert program.stop_signal("postgres").name == "SIGINT"
    assert program.stop_signal("gateway_service").name == "SIGTERM"


def test_an_unknown_program_is_refused():
    with pytest.raises(SystemExit, match=r"usage: .*bike_service"):
        program.main(["mysql"])


def test_a_numbered_process_is_recorded_under_its_own_name(layout, monkeypatch):
    monkeypatch.setenv("BIKE_COMPANY_HOME", str(layout.folder))
    monkeypatch.setenv("SUPERVISOR_PROCESS_NAME", "bike_service_1")
    executed = []
    monkeypatch.setattr(program.os, "execvpe", lambda file, arguments, environment: executed.append(arguments))
    monkeypatch.setattr(program.leash, "die_with_parent", lambda number: None)
    program.main(["bike_service"])
    assert [file.name for file in layout.pids.iterdir()] == ["bike_service_1"]
    assert leftovers.alive(layout.pids / "bike_service_1") == os.getpid()
    assert executed[0][1:] == ["-m", "shared.run", "bike_service"]


def test_all_processes_of_a_service_that_were_left_are_ended(layout):
    files = [layout.pids / f"bike_service_{number}" for number in range(2)]
    children = [subprocess.Popen(leashed("SIGTERM", ["sleep", "600"], file)) for file in files]
    eventually(lambda: all(leftovers.alive(file) for file in files))
    assert leftovers.end_leftovers(layout) == ["bike_service_0", "bike_service_1"]
    assert [child.wait(5) for child in children] == [-15, -15]
    assert list(layout.pids.iterdir()) == []
