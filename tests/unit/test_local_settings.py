import socket

import pytest

from infrastructure.local import settings
from infrastructure.local.errors import LocalError

SECRET = "s" * 32


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8000", ("127.0.0.1", 8000)),
        (" localhost:80 ", ("localhost", 80)),
        ("bikes.example.org:65535", ("bikes.example.org", 65535)),
        ("[::1]:8000", ("::1", 8000)),
    ],
)
def test_an_address_is_a_host_and_a_port(text, expected):
    assert settings.address(text) == expected


@pytest.mark.parametrize("text", ["", "8000", ":8000", "host", "host:", "host:http", "host:0", "host:65536", "::1:80"])
def test_another_address_is_refused_with_an_example(text):
    with pytest.raises(LocalError, match=r"GATEWAY_ADDRESS must be host:port, such as 127\.0\.0\.1:8000"):
        settings.address(text)


def test_without_settings_all_parts_are_private():
    found = settings.read({"AMQP_URI": "", "JWT_SECRET": ""})
    assert (found.amqp_uri, found.bike_database_url, found.trip_database_url) == (None, None, None)
    assert found.private_rabbitmq
    assert found.gateway_url == "http://127.0.0.1:8000"
    assert found.jwt_secret is None


def test_given_parts_replace_the_private_ones():
    found = settings.read(
        {
            "AMQP_URI": "amqp://user:password@broker/vhost",
            "BIKE_DATABASE_URL": "postgresql://user@host/bikes",
            "TRIP_DATABASE_URL": "postgresql://user@host/trips",
            "JWT_SECRET": SECRET,
        }
    )
    assert not found.private_rabbitmq
    assert found.database_url("trip_service") == "postgresql://user@host/trips"
    assert found.jwt_secret == SECRET


def test_one_given_database_leaves_the_other_private():
    found = settings.read({"BIKE_DATABASE_URL": "postgresql://user@host/bikes"})
    assert found.database_url("trip_service") is None
    assert found.bike_database_url == "postgresql://user@host/bikes"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AMQP_URI", "http://broker"),
        ("AMQP_URI", "amqp://broker:port"),
        ("BIKE_DATABASE_URL", "mysql://host/bikes"),
        ("TRIP_DATABASE_URL", "nonsense"),
        ("JWT_SECRET", "s" * 31),
    ],
)
def test_a_malformed_setting_is_named_and_not_shown(name, value):
    with pytest.raises(LocalError, match=name) as caught:
        settings.read({name: value})
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        ("[::]:80", "http://[::1]:80"),
        ("example.org:80", "http://example.org:80"),
    ],
)
def test_the_url_of_the_gateway_is_one_that_a_client_can_reach(address, url):
    assert settings.read({"GATEWAY_ADDRESS": address}).gateway_url == url


def test_a_taken_port_is_refused_with_its_holder_and_another_address():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        found = settings.read({"GATEWAY_ADDRESS": f"127.0.0.1:{port}"})
        with pytest.raises(LocalError, match=rf"(?s)Port {port} .*taken by pid \d+ .*GATEWAY_ADDRESS="):
            settings.check_address_free(found)
    settings.check_address_free(found)


def test_the_checkouts_own_secret_is_made_once_and_private(tmp_path):
    file = tmp_path / "folder" / "jwt_secret"
    secret = settings.own_secret(file)
    assert len(secret) >= 32
    assert settings.own_secret(file) == secret
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_spoilt_secret_file_is_named(tmp_path):
    file = tmp_path / "jwt_secret"
    file.write_text("short\n")
    with pytest.raises(LocalError, match="jwt_secret"):
        settings.own_secret(file)
