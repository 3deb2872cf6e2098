import pytest

from infrastructure.local import rabbitmq_install
from infrastructure.local.errors import LocalError


def put_server(root, version):
    """A tree as the packages unpack to; the path of its server script."""
    home = root / "usr/lib/rabbitmq/lib" / f"rabbitmq_server-{version}"
    (home / "plugins" / f"rabbit-{version}").mkdir(parents=True)
    (home / "sbin").mkdir()
    server = home / "sbin" / "rabbitmq-server"
    server.touch()
    return server


@pytest.mark.parametrize(("version", "expected"), [("3.10.8", (3, 10, 8)), ("4.1.0", (4, 1, 0))])
def test_the_version_is_that_of_the_main_plugin(tmp_path, version, expected):
    assert rabbitmq_install._version(put_server(tmp_path, version)) == expected


def test_a_script_without_plugins_has_no_version(tmp_path):
    assert rabbitmq_install._version(tmp_path / "sbin" / "rabbitmq-server") < rabbitmq_install.OLDEST


def test_a_tree_that_was_moved_is_not_used(tmp_path):
    (tmp_path / "complete").write_text(str(tmp_path))
    assert rabbitmq_install._is_complete(tmp_path)
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert not rabbitmq_install._is_complete(moved)


def test_erlangs_scripts_get_their_final_place(tmp_path):
    scripts = [tmp_path / "usr/lib/erlang" / path for path in ("bin/erl", "bin/start", "erts-13.1/bin/erl")]
    for script in scripts:
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text("ROOTDIR=/usr/lib/erlang\nelse ROOTDIR=/usr/lib/erlang\n")
    rabbitmq_install._set_erlang_root(tmp_path, tmp_path / "final")
    expected = f"{tmp_path}/final/usr/lib/erlang"
    for script in scripts:
        assert script.read_text() == f"ROOTDIR={expected}\nelse ROOTDIR={expected}\n"


def test_without_apt_the_ways_out_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(rabbitmq_install, "_installed", lambda: None)
    monkeypatch.setattr(rabbitmq_install.shutil, "which", lambda *args, **kwargs: None)
    with pytest.raises(LocalError, match=r"(?s)apt-get.*brew.*Docker.*AMQP_URI"):
        rabbitmq_install.find()
