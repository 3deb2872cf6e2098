"""A stack whose doors are tried by force: apart from the black-box tests', with nothing left out of its logs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.conftest import PrivateParts
from tests.doors.flood import Address, Probe, address_of, served_throughout
from tests.e2e.fixtures import *  # noqa: F403 - pytest finds fixtures by name in a conftest
from tests.private import assert_private
from tests.stack import RunningStack, free_port, running_services, running_stack

if TYPE_CHECKING:  # when this runs, pytest has not seen to its assertions yet
    from tests.e2e.client import Api

AUDIENCE, ISSUER = "bike-company", "https://login.example.org"


@pytest.fixture(scope="session")
def stack(private_parts: PrivateParts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running_stack(private_parts, tmp_path_factory.mktemp("logs"), LOG_LEVEL="DEBUG") as running:
        yield running
    assert_private(running)


@pytest.fixture
def address(stack: RunningStack) -> Address:
    return address_of(stack.gateway_url)


@pytest.fixture
def others(address: Address, api: "Api") -> Iterator[Probe]:
    """Is served from beginning to end, or the test fails."""
    with served_throughout(address, api.token("operator")) as probe:
        yield probe


@dataclass(frozen=True)
class KeyedGateway:
    """A second gateway of the same stack, which takes RS256 and ES256 tokens of one issuer for one audience."""

    url: str
    rsa_key: Any
    ec_key: Any

    def token(self, claims: dict[str, Any], algorithm: str = "RS256", key: Any = None) -> str:
        kid = {"RS256": "rsa", "ES256": "ec"}[algorithm]
        key = key or (self.rsa_key if algorithm == "RS256" else self.ec_key)
        return jwt.encode({"aud": AUDIENCE, "iss": ISSUER, **claims}, key, algorithm, headers={"kid": kid})

    @property
    def public_pem(self) -> bytes:
        """The RSA key as everybody may have it."""
        public = self.rsa_key.public_key()
        pem: bytes = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        return pem


@pytest.fixture(scope="session")
def keyed(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyedGateway]:
    folder: Path = tmp_path_factory.mktemp("keyed")
    rsa_key, ec_key = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
    members = [
        {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key.public_key())), "kid": "rsa", "alg": "RS256"},
        {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(ec_key.public_key())), "kid": "ec", "alg": "ES256"},
    ]
    (folder / "keys.json").write_text(json.dumps({"keys": members}))
    address = f"127.0.0.1:{free_port()}"
    environment = {
        **stack.environments["gateway_service"],
        "GATEWAY_ADDRESS": address,
        "JWT_SECRET": "",
        "JWT_JWKS": str(folder / "keys.json"),
        "JWT_AUDIENCE": AUDIENCE,
        "JWT_ISSUER": ISSUER,
    }
    with running_services(f"http://{address}", folder, {"gateway_service": environment}):
        yield KeyedGateway(f"http://{address}", rsa_key, ec_key)
    assert_private(replace(stack, log_folder=folder))
