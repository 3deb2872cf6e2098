"""What schemathesis cannot read from the document: rules about time, about state, and about two parameters at once.

Loaded by schemathesis, in its own process. What is edited here is judged anew against the document, so that bad
data stay bad: only what would be good is made to fit the rest.
"""

import os
import random
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import schemathesis

ids = {name: os.environ.get(f"FUZZ_{name.upper()}S", "").split() for name in ("bike_id", "trip_id")}
choice = random.Random(os.environ["FUZZ_SEED"])
tally = Path(os.environ["FUZZ_TALLY"])
NEAREST, LISTED = {"lat", "lon", "radius"}, {"bbox", "cursor"}
BOX = "-0.2,51.4,0.1,51.6"


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Runs before every request that is made of generated data."""
    if case.operation.path == "/v1/bikes" and case.method == "GET":
        _settle_on_one_mode(case.query)
    for name in ids:
        _aim(case.path_parameters, name)
    if isinstance(case.query, dict) and isinstance(case.query.get("cursor"), str):
        del case.query["cursor"]  # none but those that the server made are good
    if case.headers:
        _keep_unused(case.headers)
    if isinstance(case.body, dict):
        _aim(case.body, "bike_id")
        _bring_up_to_date(case.body.get("positions"))


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Runs after every answer."""
    with tally.open("a") as statuses:
        statuses.write(f"{response.status_code}\n")


def _settle_on_one_mode(query: Any) -> None:
    """`GET /v1/bikes` lists or finds the nearest: parameters of the one exclude those of the other."""
    if not isinstance(query, dict):
        return
    if "lat" in query and "lon" in query:
        unfit = LISTED
    else:
        unfit = NEAREST
        if isinstance(query.get("bbox"), str) and not _is_box(query["bbox"]) and query["bbox"].count(",") == 3:
            query["bbox"] = BOX
    for name in unfit & set(query):
        del query[name]


def _is_box(text: str) -> bool:
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        return False
    return max(abs(west), abs(east)) <= 180 and max(abs(south), abs(north)) <= 90 and south <= north


def _aim(values: Any, name: str) -> None:
    """Every other id is one that exists, else nothing behind it would ever be reached."""
    if isinstance(values, dict) and _is_uuid(values.get(name)) and ids[name] and choice.random() < 0.5:
        values[name] = choice.choice(ids[name])


def _is_uuid(value: Any) -> bool:
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value.lower()
    except ValueError:
        return False


def _keep_unused(headers: Any) -> None:
    """A key that was used for another request is refused, so a good key is a new one."""
    key = headers.get("Idempotency-Key")
    if isinstance(key, str) and 1 <= len(key) <= 200 and all("!" <= sign <= "~" for sign in key):
        headers["Idempotency-Key"] = f"{key}-{uuid.UUID(int=choice.getrandbits(128))}"


def _bring_up_to_date(positions: Any) -> None:
    """A good time is one of the last 30 days."""
    for position in positions if isinstance(positions, list) else ():
        if isinstance(position, dict) and _is_time(position.get("recorded_at")):
            moment = datetime.now(UTC) - timedelta(seconds=choice.randrange(2_000_000))
            position["recorded_at"] = moment.isoformat()


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
