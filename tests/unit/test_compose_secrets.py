"""The secrets of the containers: made once, kept, and closed to others."""

import base64
import hashlib
import json
import stat
from pathlib import Path

import pytest

from infrastructure.compose import definitions, rendering
from infrastructure.compose.secret_files import SecretFiles
from infrastructure.selection import Selection


@pytest.fixture
def secrets(tmp_path: Path) -> SecretFiles:
    made = SecretFiles(tmp_path / "docker" / "secrets")
    made.make()
    return made


def contents(secrets: SecretFiles) -> dict[str, str]:
    return {file.name: file.read_text() for file in secrets.folder.iterdir()}


def test_every_file_that_the_compose_file_mounts_is_there(secrets: SecretFiles) -> None:
    assert set(rendering.secret_names(Selection())) <= set(contents(secrets))


def test_making_them_again_changes_nothing(secrets: SecretFiles) -> None:
    before = contents(secrets)
    files = {file: file.stat().st_ino for file in secrets.folder.iterdir()}
    SecretFiles(secrets.folder).make()
    assert contents(secrets) == before
    assert {file: file.stat().st_ino for file in secrets.folder.iterdir()} == files


def test_the_folder_is_closed_and_a_container_s_user_can_read_the_files(secrets: SecretFiles) -> None:
    assert stat.S_IMODE(secrets.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in secrets.folder.iterdir()} == {0o444}


def test_no_password_is_another_s(secrets: SecretFiles) -> None:
    passwords = [text for name, text in contents(secrets).items() if name.endswith(("_password", "_secret"))]
    assert len(set(passwords)) == len(passwords) >= 9
    assert all(len(password) >= 32 for password in passwords)


def test_the_broker_knows_each_user_by_the_hash_of_its_password(secrets: SecretFiles) -> None:
    found = json.loads(secrets.read("rabbitmq_definitions.json"))
    assert [user["name"] for user in found["users"]] == ["gateway_service", "bike_service", "trip_service", "operator"]
    for user in found["users"]:
        raw = base64.b64decode(user["password_hash"])
        password = secrets.read(f"{user['name']}_broker_password")
        assert raw[4:] == hashlib.sha256(raw[:4] + password.encode()).digest()
        assert user["tags"] == ("administrator" if user["name"] == "operator" else "")
        assert f"//{user['name']}:{password}@rabbitmq" in secrets.read(f"{user['name']}_amqp_uri")
    assert {right["vhost"] for right in found["permissions"]} == {"bike_company"}


def test_a_password_is_hashed_as_rabbitmq_documents_it() -> None:
    # the example of RabbitMQ's guide to passwords: "test12" with the salt 908DC60A
    known = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
    assert definitions.password_hash("test12", bytes.fromhex("908DC60A")) == known
