import pytest

from infrastructure.local import files
from infrastructure.local.layout import LONGEST_SOCKET, Layout


def test_stack_env_is_private_and_read_as_written(tmp_path):
    layout = Layout(tmp_path)
    variables = {"GATEWAY_URL": "http://127.0.0.1:8000", "AMQP_URI": "amqp://user:a=b@host/vhost"}
    layout.write_environment(variables)
    assert layout.environment.stat().st_mode & 0o777 == 0o600
    assert layout.environment.read_text().splitlines()[0] == "GATEWAY_URL=http://127.0.0.1:8000"
    assert layout.read_environment() == variables


def test_without_a_stack_there_are_no_variables(tmp_path):
    assert Layout(tmp_path).read_environment() == {}


def test_folders_are_closed_to_others(tmp_path):
    layout = Layout(tmp_path / ".local")
    layout.make()
    assert {path.stat().st_mode & 0o777 for path in (layout.folder, layout.logs, layout.pids, layout.supervisord)} == {
        0o700
    }


def test_folders_above_a_private_one_are_closed_too_and_those_that_are_there_stay(tmp_path):
    tmp_path.chmod(0o755)
    files.private_folder(tmp_path / ".local" / "docker" / "secrets")
    made = (".", ".local", ".local/docker", ".local/docker/secrets")
    assert [(tmp_path / each).stat().st_mode & 0o777 for each in made] == [0o755, 0o700, 0o700, 0o700]


def test_the_socket_of_a_deep_checkout_has_a_short_path(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 100) / ".local"
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path)[:20])
    deep.mkdir(parents=True)
    layout = Layout(deep)
    assert len(str(layout.socket)) <= LONGEST_SOCKET
    assert Layout(deep).socket == layout.socket


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "state"
    files.write_private(path, "old")
    with pytest.raises(UnicodeEncodeError):
        files.write_private(path, "new \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_state_survives_a_round_trip(tmp_path):
    path = tmp_path / "state.json"
    assert files.read_json(path) == {}
    files.write_json(path, {"port": 1})
    assert files.read_json(path) == {"port": 1}
