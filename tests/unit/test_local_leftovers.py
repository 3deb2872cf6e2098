import os
from pathlib import Path

import pytest

from infrastructure.local import leash, leftovers, program
from infrastructure.local.layout import Layout


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
