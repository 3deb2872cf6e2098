import base64
import json
import time
from datetime import timedelta

import jwt
import pytest

from shared.jwt import Identity, InvalidToken, Verifier, mint
from shared.known_tokens import MAX_LENGTH, MAX_TOKENS, Known, KnownTokens

SECRET = "a secret for tests only, 32 bytes"
BIKE_ID = "b6b1e0b4-0c1a-4c53-9d3b-2f0a0a7a0001"
CLAIMS = {"sub": "ann", "role": "rider", "exp": time.time() + 3600}


def signed(secret: str = SECRET, algorithm: str = "HS256", **changes) -> str:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not ...}
    return jwt.encode(claims, secret, algorithm=algorithm)


def raw(header: dict, claims: dict, signature: str = "") -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims)]
    return ".".join([*parts, signature])


def verify(token: str, **options) -> Identity:
    return Verifier.with_secret(SECRET, **options).verify(token)


def test_a_minted_token_proves_who_it_was_minted_for():
    assert verify(mint(SECRET, "operator", "Ödön")) == Identity("Ödön", "operator")


def test_the_subject_of_a_vehicle_is_made_canonical():
    assert verify(mint(SECRET, "vehicle", BIKE_ID.upper())) == Identity(BIKE_ID, "vehicle")


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": ...},
        {"role": ...},
        {"exp": ...},
        {"exp": time.time() - 1},
        {"exp": str(int(time.time()) + 60)},
        {"exp": True},
        {"exp": None},
        {"exp": float("inf")},
        {"exp": 10**400},
        {"exp": [1]},
        {"nbf": time.time() + 3600},
        {"sub": ""},
        {"sub": "x" * 256},
        {"sub": 5},
        {"sub": "a\x00b"},
        {"role": "admin"},
        {"role": ["rider"]},
        {"role": "vehicle", "sub": "not a uuid"},
    ],
)
def test_a_token_with_a_claim_missing_or_wrong_is_refused(changes):
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not ...}
    # PyJWT checks some types when it encodes, so the payload is signed as it is.
    token = jwt.api_jws.PyJWS().encode(json.dumps(claims).encode(), SECRET, algorithm="HS256")
    with pytest.raises(InvalidToken):
        verify(token)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        "....",
        "é.é.é",
        raw({"alg": "none"}, CLAIMS),
        raw({"alg": "None"}, CLAIMS),
        raw({"alg": "HS256"}, CLAIMS),
        raw({}, CLAIMS),
        raw({"alg": ["HS256"]}, CLAIMS),
        signed(secret="another secret, of thirty-two bytes"),
        signed(algorithm="HS512", secret=SECRET * 2),
        signed()[:-2],
    ],
)
def test_a_token_that_is_not_signed_with_our_secret_is_refused(token):
    with pytest.raises(InvalidToken):
        verify(token)


def test_audience_and_issuer_count_when_they_are_configured():
    token = signed(aud="bikes", iss="https://id.example")
    assert verify(token).sub == "ann"
    assert verify(token, audience="bikes", issuer="https://id.example").sub == "ann"
    for options in ({"audience": "cars"}, {"issuer": "https://other.example"}):
        with pytest.raises(InvalidToken):
            verify(token, **options)
    with pytest.raises(InvalidToken):
        verify(signed(), audience="bikes")


@pytest.mark.parametrize("secret", ["", "x" * 31, "-----BEGIN PUBLIC KEY-----\n" + "x" * 64])
def test_a_secret_that_is_short_or_public_is_refused(secret):
    with pytest.raises(ValueError, match="must be"):
        Verifier.with_secret(secret)
    with pytest.raises(ValueError, match="must be"):
        mint(secret, "rider", "ann")


@pytest.mark.parametrize(("role", "sub"), [("admin", "ann"), ("vehicle", "ann"), ("rider", "")])
def test_no_token_is_minted_that_no_verifier_would_take(role, sub):
    with pytest.raises(ValueError, match="claim"):
        mint(SECRET, role, sub)


def test_a_token_is_good_for_its_lifetime():
    claims = jwt.decode(mint(SECRET, "rider", "ann", timedelta(seconds=90)), SECRET, algorithms=["HS256"])
    assert 80 < claims["exp"] - time.time() <= 90


def test_a_token_that_was_taken_before_is_refused_once_it_has_expired(monkeypatch):
    verifier = Verifier.with_secret(SECRET)
    token = signed(exp=time.time() + 60)
    assert verifier.verify(token) == verifier.verify(token) == Identity("ann", "rider")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert verifier.known.get(token) is None


def test_a_token_that_was_refused_is_refused_again():
    verifier = Verifier.with_secret(SECRET)
    for token in (signed(exp=time.time() - 1), signed("another secret, also of 32 bytes"), signed(role="king")):
        for _ in range(2):
            with pytest.raises(InvalidToken):
                verifier.verify(token)


def test_of_the_tokens_taken_the_last_ones_are_known():
    known = KnownTokens()
    for number in range(MAX_TOKENS + 2):
        known.keep(f"t{number}", Known({}, None, Identity("ann", "rider"), 1 << 40))
    known.keep("x" * (MAX_LENGTH + 1), Known({}, None, Identity("ann", "rider"), 1 << 40))
    assert [known.get(token) is not None for token in ("t0", "t1", "t2", f"t{MAX_TOKENS + 1}")] == [
        False,
        False,
        True,
        True,
    ]
    assert known.get("x" * (MAX_LENGTH + 1)) is None
