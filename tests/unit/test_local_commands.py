import io

import pytest

from infrastructure.local import commands
from infrastructure.local.__main__ import main
from infrastructure.local.errors import LocalError
from infrastructure.local.layout import Layout


def test_clean_asks_and_takes_no_answer_for_a_no(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(LocalError, match="make clean FORCE=1"):
        commands.clean(Layout(tmp_path), {})
    assert tmp_path.exists()


def test_clean_with_force_removes_all(tmp_path, capsys):
    layout = Layout(tmp_path / ".local")
    layout.make()
    assert commands.clean(layout, {"FORCE": "1"}) == 0
    assert not layout.folder.exists()
    assert commands.clean(layout, {"FORCE": "1"}) == 0
    assert "nothing to remove" in capsys.readouterr().out


def test_without_a_stack_status_says_so_and_down_is_no_error(tmp_path, capsys):
    layout = Layout(tmp_path)
    assert commands.status(layout) == 1
    assert commands.down(layout) == 0
    assert "No stack" in capsys.readouterr().out


def test_logs_of_an_unknown_service_name_the_known_ones(tmp_path):
    with pytest.raises(LocalError, match="bike_service, trip_service, gateway_service"):
        commands.logs(Layout(tmp_path), {"SERVICE": "bikes"})


@pytest.mark.parametrize("arguments", [[], ["fly"], ["up", "now"]])
def test_an_unknown_command_shows_the_known_ones(arguments, capsys):
    assert main(arguments) == 2
    assert "usage:" in capsys.readouterr().err
