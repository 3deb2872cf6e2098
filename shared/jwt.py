"""JSON Web Tokens (RFC 7519): minting for development, verification for the gateway.

A verifier takes one family of algorithms only, so that a public key is never tried as a shared secret (RFC 8725).
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import jwt

from shared.fields import canonical_uuid, is_subject
from shared.known_tokens import Known, KnownTokens

RIDER, OPERATOR, VEHICLE = "rider", "operator", "vehicle"
ROLES = (RIDER, OPERATOR, VEHICLE)
MIN_SECRET_BYTES = 32
# Far beyond any token, and a number that floats can hold.
LAST_MOMENT = 1e18
REQUIRED_CLAIMS = ("sub", "role", "exp")

Key = Any
KeyOf = Callable[[dict[str, Any]], Key]
"""From a token's (unverified) header to the key that must have signed it; raises InvalidToken."""


class InvalidToken(Exception):
    """The token does not prove who sent it; the message may be shown to the client."""


@dataclass(frozen=True)
class Identity:
    """Who a verified token speaks for, until `expires` (Unix time); a vehicle's `sub` is its bike's id."""

    sub: str
    role: str
    expires: float = field(default=math.inf, compare=False)


@dataclass(frozen=True)
class Verifier:
    """Checks signature, time, audience and issuer, and the claims that this system needs."""

    key_of: KeyOf
    algorithms: tuple[str, ...]
    audience: str | None = None
    issuer: str | None = None
    known: KnownTokens = field(default_factory=KnownTokens, repr=False, compare=False)

    @classmethod
    def with_secret(cls, secret: str, audience: str | None = None, issuer: str | None = None) -> "Verifier":
        """HS256 with a shared secret; raises ValueError when it is shorter than 32 bytes."""
        check_secret(secret)
        return cls(lambda header: secret, ("HS256",), audience, issuer)

    def verify(self, token: str) -> Identity:
        """The identity that `token` proves; raises InvalidToken."""
        known = self.known.get(token)
        # Keys that are read anew are other objects, so what was signed with the former is verified again.
        if known is not None and self.key_of(known.header) is known.key:
            identity: Identity = known.identity
            return identity
        return self._verify(token)

    def _verify(self, token: str) -> Identity:
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in self.algorithms:
                raise InvalidToken("The token is signed with an algorithm that is not accepted.")
            key = self.key_of(header)
            claims = jwt.decode(
                token,
                key,
                algorithms=list(self.algorithms),
                audience=self.audience,
                issuer=self.issuer,
                options={
                    "require": list(REQUIRED_CLAIMS),
                    "verify_aud": self.audience is not None,
                    "verify_iss": self.issuer is not None,
                    "verify_iat": False,
                    "enforce_minimum_key_length": True,
                },
            )
        except jwt.ExpiredSignatureError:
            raise InvalidToken("The token has expired.") from None
        except jwt.MissingRequiredClaimError as error:
            raise InvalidToken(f"The token lacks the claim {error.claim}.") from None
        except (jwt.InvalidAudienceError, jwt.InvalidIssuerError):
            raise InvalidToken("The token is not meant for this service.") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            # PyJWT lets builtin errors through for claims and headers of odd types.
            raise InvalidToken("The token is invalid.") from None
        identity = identity_of(claims)
        self.known.keep(token, Known(header, key, identity, int(claims["exp"])))
        return identity


def identity_of(claims: dict[str, Any]) -> Identity:
    """The identity in verified claims; raises InvalidToken when one of them is not of its type."""
    expires, role, sub = claims["exp"], claims["role"], claims["sub"]
    if isinstance(expires, bool) or not isinstance(expires, int | float) or not abs(expires) < LAST_MOMENT:
        raise InvalidToken("The claim exp is not a number of seconds.")
    if not isinstance(role, str) or role not in ROLES:
        raise InvalidToken("The claim role is none of rider, operator and vehicle.")
    if not is_subject(sub):
        raise InvalidToken("The claim sub is not a text of 1 to 255 characters.")
    if role == VEHICLE:
        bike_id = canonical_uuid(sub)
        if bike_id is None:
            raise InvalidToken("The claim sub of a vehicle is not its bike's UUID.")
        return Identity(bike_id, role, expires)
    return Identity(sub, role, expires)


def check_secret(secret: str) -> None:
    """Raises ValueError when `secret` cannot serve HS256 (RFC 7518, section 3.2: at least as long as the hash)."""
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"must be at least {MIN_SECRET_BYTES} bytes long")
    if "-----BEGIN" in secret:
        raise ValueError("must be a secret, not a key file's text: a public key is no secret")


def mint(secret: str, role: str, sub: str, lifetime: timedelta = timedelta(hours=24), **claims: Any) -> str:
    """An HS256 token for `sub` as `role`, good for `lifetime`; `claims` are added (aud, iss).

    Raises ValueError for a short secret, an unknown role, or a subject that no verifier would take.
    """
    check_secret(secret)
    payload = {"sub": sub, "role": role, "exp": int(time.time() + lifetime.total_seconds()), **claims}
    try:
        identity_of(payload)
    except InvalidToken as error:
        raise ValueError(str(error)) from None
    return jwt.encode(payload, secret, algorithm="HS256")
