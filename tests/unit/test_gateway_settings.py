import json

import pytest

from gateway_service.settings import Settings, nameko_config
from shared.config import ConfigurationError
from shared.http_policy import HttpPolicy

SECRET = "a secret for tests only, 32 bytes"


def settings(**environ: str) -> Settings:
    return Settings.from_environment({"JWT_SECRET": SECRET, **environ})


def test_a_secret_is_all_that_is_needed():
    read = settings()
    assert read.address == "127.0.0.1:8000"
    assert read.policy.verifier is not None
    assert read.policy.verifier.algorithms == ("HS256",)
    assert read.policy.rate_limit is None
    assert read.policy.cors.headers_for("https://app.example") == {}
    assert read.rpc_timeout == 5
    assert read.stream_readers == 1000


def test_everything_can_be_set():
    read = settings(
        GATEWAY_ADDRESS="0.0.0.0:9000",
        JWT_AUDIENCE="bikes",
        JWT_ISSUER="https://id.example",
        CORS_ORIGINS="https://app.example, http://localhost:3000",
        RATE_LIMIT="100/minute",
        TRUSTED_PROXIES="10.0.0.0/8, ::1",
        RPC_TIMEOUT="2.5",
        PUBLIC_BIKES="false",
        PUBLIC_URL="https://bikes.example:8443/api/",
        FARE_UNLOCK="2.00",
        STREAM_READERS="50",
    )
    assert read.address == "0.0.0.0:9000"
    assert read.policy.verifier is not None
    assert (read.policy.verifier.audience, read.policy.verifier.issuer) == ("bikes", "https://id.example")
    assert read.policy.cors.origins == {"https://app.example", "http://localhost:3000"}
    assert read.policy.rate_limit is not None
    assert read.policy.rate_limit.item.amount == 100
    assert read.policy.proxies.client_address("::1", "198.51.100.1") == "198.51.100.1"
    assert read.rpc_timeout == 2.5
    assert read.policy.is_closed
    assert read.public_url == "https://bikes.example:8443/api"
    assert str(read.fares.unlock) == "2.00"
    assert read.stream_readers == 50


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JWT_SECRET", ""),
        ("JWT_SECRET", "x" * 31),
        ("JWT_SECRET", "-----BEGIN PUBLIC KEY-----" + "x" * 40),
        ("JWT_JWKS", "/there/is/no/such/file"),
        ("GATEWAY_ADDRESS", "8000"),
        ("GATEWAY_ADDRESS", "127.0.0.1"),
        ("GATEWAY_ADDRESS", "127.0.0.1:70000"),
        ("GATEWAY_ADDRESS", "host:port"),
        ("GATEWAY_SOCKET_FD", "-1"),
        ("GATEWAY_SOCKET_FD", "tcp"),
        ("CORS_ORIGINS", "app.example"),
        ("CORS_ORIGINS", "https://app.example/path"),
        ("RATE_LIMIT", "many"),
        ("TRUSTED_PROXIES", "10.0.0.0/99"),
        ("STREAM_READERS", "0"),
        ("STREAM_READERS", "many"),
        ("RPC_TIMEOUT", "soon"),
        ("RPC_TIMEOUT", "0"),
        ("RPC_TIMEOUT", "1000"),
        ("PUBLIC_BIKES", "perhaps"),
        ("PUBLIC_URL", "bikes.example"),
        ("PUBLIC_URL", "https://user@bikes.example"),
        ("PUBLIC_URL", "https://bikes.example/?a=b"),
        ("GBFS_CONFIG", "/there/is/no/such/file"),
        ("FARE_CURRENCY", "euro"),
    ],
)
def test_what_is_wrong_is_named(name, value):
    with pytest.raises(ConfigurationError, match=name) as raised:
        settings(**{name: value})
    assert "\n" not in str(raised.value)


def test_a_key_set_takes_the_place_of_the_secret(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": []}))
    with pytest.raises(ConfigurationError, match="JWT_JWKS"):
        settings(JWT_JWKS=str(path))
    read = settings(JWT_SECRET="", JWT_JWKS="https://id.example/keys")
    assert read.policy.verifier is not None
    assert read.policy.verifier.algorithms == ("RS256", "ES256")


def test_the_secret_is_never_shown():
    with pytest.raises(ConfigurationError) as raised:
        settings(JWT_SECRET="short secret")
    assert "short secret" not in str(raised.value)


def test_nameko_gets_what_its_extensions_read():
    config = nameko_config({"JWT_SECRET": SECRET})
    assert config["WEB_SERVER_ADDRESS"] == "127.0.0.1:8000"
    assert isinstance(config["HTTP_POLICY"], HttpPolicy)
    assert isinstance(config["SETTINGS"], Settings)
