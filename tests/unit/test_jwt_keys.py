import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from shared.errors import Unavailable
from shared.jwks import KeySet
from shared.jwt import InvalidToken, Verifier

RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def member(key, kid: str, **more) -> dict:
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, **more}


def signed(key, algorithm: str, **header) -> str:
    claims = {"sub": "ann", "role": "rider", "exp": time.time() + 3600}
    return jwt.encode(claims, key, algorithm=algorithm, headers=header)


@pytest.fixture
def written(tmp_path):
    def write(*members: dict) -> KeySet:
        path = tmp_path / "keys.json"
        path.write_text(json.dumps({"keys": members}))
        return KeySet(str(path))

    return write


def verifier(keys: KeySet) -> Verifier:
    return Verifier(keys, KeySet.algorithms)


def test_tokens_signed_by_either_kind_of_key_are_taken(written):
    verify = verifier(written(member(RSA_KEY, "r"), member(EC_KEY, "e"))).verify
    assert verify(signed(RSA_KEY, "RS256", kid="r")).sub == "ann"
    assert verify(signed(EC_KEY, "ES256", kid="e")).sub == "ann"
    assert verify(signed(EC_KEY, "ES256")).sub == "ann"


@pytest.mark.parametrize(
    "token",
    [
        signed(RSA_KEY, "RS256", kid="unknown"),
        signed(RSA_KEY, "RS512", kid="r"),
        signed(rsa.generate_private_key(65537, 2048), "RS256", kid="r"),
        signed(EC_KEY, "ES256", kid="r"),
        signed("a secret for tests only, 32 bytes", "HS256", kid="r"),
    ],
)
def test_other_tokens_are_refused(written, token):
    with pytest.raises(InvalidToken):
        verifier(written(member(RSA_KEY, "r"))).verify(token)


def test_a_public_key_is_no_shared_secret(written, monkeypatch):
    public = RSA_KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    confused = jwt.api_jws.PyJWS()
    monkeypatch.setattr(confused._algorithms["HS256"], "prepare_key", lambda key: key)
    token = confused.encode(
        json.dumps({"sub": "ann", "role": "operator", "exp": time.time() + 3600}).encode(),
        public,
        "HS256",
        {"kid": "r"},
    )
    with pytest.raises(InvalidToken):
        verifier(written(member(RSA_KEY, "r"))).verify(token)


def test_keys_of_other_kinds_and_uses_are_ignored(written):
    keys = written(
        member(RSA_KEY, "r", use="enc"),
        member(RSA_KEY, "s", alg="RS512"),
        {"kty": "oct", "k": "AAAA", "kid": "o"},
        member(ec.generate_private_key(ec.SECP384R1()), "p"),
        {"kty": "RSA", "kid": "broken"},
    )
    with pytest.raises(ValueError, match="no RS256 or ES256 key"):
        keys.load()


def test_a_weak_key_is_refused(written):
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505
    with pytest.raises(InvalidToken):
        verifier(written(member(weak, "w"))).verify(signed(weak, "RS256", kid="w"))


def test_a_new_key_is_found_when_a_token_names_it(written, monkeypatch):
    verify = verifier(written(member(RSA_KEY, "r"))).verify
    verify(signed(RSA_KEY, "RS256", kid="r"))
    written(member(EC_KEY, "e"))
    with pytest.raises(InvalidToken):
        verify(signed(EC_KEY, "ES256", kid="e"))  # read a moment ago
    monkeypatch.setattr("shared.jwks.MIN_AGE_S", 0)
    assert verify(signed(EC_KEY, "ES256", kid="e")).sub == "ann"


def test_without_keys_nobody_is_refused_for_good(tmp_path):
    with pytest.raises(Unavailable):
        verifier(KeySet(str(tmp_path / "missing.json"))).verify(signed(RSA_KEY, "RS256", kid="r"))


def test_a_token_taken_before_is_refused_once_its_key_is_withdrawn(written):
    keys = written(member(RSA_KEY, "r"), member(EC_KEY, "e"))
    verify = verifier(keys).verify
    gone, kept = signed(RSA_KEY, "RS256", kid="r"), signed(EC_KEY, "ES256", kid="e")
    assert [verify(token).sub for token in (gone, kept, gone, kept)] == ["ann"] * 4
    written(member(EC_KEY, "e"))
    keys.load()
    assert verify(kept).sub == "ann"
    with pytest.raises(InvalidToken):
        verify(gone)
    # Another key under the same name proves nothing either.
    written(member(rsa.generate_private_key(65537, 2048), "r"))
    keys.load()
    with pytest.raises(InvalidToken):
        verify(gone)
