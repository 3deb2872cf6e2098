"""Which running stack `make token` and `make replay` talk to: the local one, else the one in containers."""

from pathlib import Path

import pytest

from infrastructure.local import token
from infrastructure.local.layout import Layout
from replay import connection
from tests.e2e.given_stack import GivenStack, given_stack

LOCAL, DOCKER, OTHER = "l" * 32, "d" * 32, "o" * 32


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where both stacks run, and a file of a third beside them."""
    monkeypatch.chdir(tmp_path)
    for path, port, secret in (
        (".local/stack.env", 1, LOCAL),
        (".local/docker/bike-company/stack.env", 2, DOCKER),
        ("other.env", 3, OTHER),
    ):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            f"GATEWAY_URL=http://127.0.0.1:{port}\nJWT_SECRET={secret}\nAMQP_URI=amqp://u:p@127.0.0.1:{port}/\n"
        )
    return tmp_path


def secrets(checkout: Path, environ: dict[str, str]) -> tuple[str, str]:
    """The secret that signs tokens, and the one that the replay uses."""
    return token.secret(Layout(checkout / ".local"), environ), connection.find(None, environ).jwt_secret


def test_the_local_stack_comes_first_then_the_containers(checkout: Path) -> None:
    assert secrets(checkout, {}) == (LOCAL, LOCAL)
    (checkout / ".local/stack.env").unlink()
    assert secrets(checkout, {}) == (DOCKER, DOCKER)
    assert connection.find(None, {}).gateway_url == "http://127.0.0.1:2"


def test_containers_of_another_project_are_found_by_its_name(checkout: Path) -> None:
    for file in (".local/stack.env", ".local/docker/bike-company/stack.env"):
        (checkout / file).unlink()
    other = checkout / ".local/docker/other/stack.env"
    other.parent.mkdir()
    other.write_text(f"GATEWAY_URL=http://127.0.0.1:4\nJWT_SECRET={OTHER}\n")
    assert secrets(checkout, {"COMPOSE_PROJECT_NAME": "other"}) == (OTHER, OTHER)


def test_a_file_that_is_named_comes_before_both(checkout: Path) -> None:
    assert secrets(checkout, {"STACK_ENV": "other.env"}) == (OTHER, OTHER)


def test_the_end_to_end_tests_take_the_stack_that_a_file_names(checkout: Path) -> None:
    assert given_stack({}) is None
    found = given_stack({"E2E_STACK_ENV": str(checkout / "other.env")})
    assert found == GivenStack("http://127.0.0.1:3", "amqp://u:p@127.0.0.1:3/", OTHER)
