"""The matrix of the doors: what each route answers to each kind of caller, as the contract (api.md) has it."""

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

BAD_TOKENS = (
    "expired",
    "wrong signature",
    "alg none",
    "HS256 with the public key",
    "wrong audience",
    "without sub",
    "without role",
    "without exp",
    "unknown role",
)
CALLERS = ("no token", *BAD_TOKENS, "rider", "other rider", "operator", "vehicle", "other vehicle")


@dataclass(frozen=True)
class Rule:
    """Statuses by caller. In each cell a trip is `rider`'s and active, the bike in the path is free and is `vehicle`.

    A good token gets `allowed` where the role may, 403 where it may not, or what `instead` says; none gets 401.
    `public`: nobody needs a token. `endless`: what is allowed is answered by a stream, of which only the head comes.
    """

    roles: tuple[str, ...] = ()
    allowed: int = 200
    instead: tuple[tuple[str, int], ...] = ()
    body: Json | None = None
    public: bool = False
    judges_tokens: bool = True
    endless: bool = False

    def expected(self, caller: str) -> int:
        if caller in BAD_TOKENS and self.judges_tokens:
            return 401
        if self.public:
            return self.allowed
        if caller == "no token":
            return 401
        if caller in dict(self.instead):
            return dict(self.instead)[caller]
        return self.allowed if caller.removeprefix("other ") in self.roles else 403


OPERATOR, RIDER = ("operator",), ("rider",)
EVERYBODY = Rule(public=True)
# Outside of /v1 nothing asks who it is, so a bad token there is no more than an odd header.
PAGE = Rule(public=True, judges_tokens=False)
GBFS = (
    "manifest", "3.0/gbfs", "3.0/gbfs_versions", "3.0/system_information", "3.0/vehicle_types", "3.0/vehicle_status",
    "3.0/system_pricing_plans",
)  # fmt: skip
OWN_TRIP = (("other rider", 404),)
POSITION: Json = {"location": {"type": "Point", "coordinates": [170.5, -45.9]}}

RULES: dict[tuple[str, str], Rule] = {
    ("GET", "/"): PAGE,
    ("GET", "/ping"): PAGE,
    ("GET", "/health"): PAGE,
    ("GET", "/openapi.json"): PAGE,
    ("GET", "/docs"): PAGE,
    ("GET", "/docs/docs.js"): PAGE,
    ("GET", "/docs/docs.css"): PAGE,
    **{("GET", f"/gbfs/{name}.json"): PAGE for name in GBFS},
    # There are none.
    ("GET", "/gbfs/3.0/system_alerts.json"): Rule(public=True, allowed=404, judges_tokens=False),
    ("GET", "/v1/bikes"): EVERYBODY,
    ("GET", "/v1/bikes/{bike_id}"): EVERYBODY,
    ("POST", "/v1/bikes"): Rule(OPERATOR, 201, body={}),
    ("POST", "/v1/bikes/batch"): Rule(OPERATOR, 201, body={"bikes": [{}]}),
    ("PATCH", "/v1/bikes/{bike_id}"): Rule(OPERATOR, body={"status": "out_of_service"}),
    ("DELETE", "/v1/bikes/{bike_id}"): Rule(OPERATOR, 204),
    ("POST", "/v1/bikes/{bike_id}/positions"): Rule(
        ("vehicle", "operator"), 202, (("other vehicle", 403),), body={"positions": [POSITION]}
    ),
    ("POST", "/v1/positions"): Rule(OPERATOR, 202, body={"positions": [{**POSITION, "bike_id": "{bike_id}"}]}),
    # The rider has a trip already.
    ("POST", "/v1/trips"): Rule(RIDER, 201, (("rider", 409),), body={"bike_id": "{bike_id}"}),
    ("GET", "/v1/trips"): Rule((*RIDER, *OPERATOR)),
    ("GET", "/v1/trips/{trip_id}"): Rule((*RIDER, *OPERATOR), instead=OWN_TRIP),
    ("POST", "/v1/trips/{trip_id}/end"): Rule((*RIDER, *OPERATOR), instead=OWN_TRIP),
    ("POST", "/v1/trips/{trip_id}/cancel"): Rule(OPERATOR),
    ("GET", "/v1/stream"): Rule(OPERATOR, endless=True),
    ("GET", "/v1/trips/{trip_id}/route"): Rule((*RIDER, *OPERATOR), instead=OWN_TRIP),
}
