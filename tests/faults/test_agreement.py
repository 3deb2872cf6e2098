"""What a crash in the middle of a start, or a restored backup, leaves behind is put right within 30 s."""

import uuid

import requests

from tests.e2e.client import Api, Json, ok
from tests.faults.process_faults import KILLED
from tests.faults.settling import settle, unrest
from tests.faults.stack import Stack
from tests.waiting import eventually

FREE = "UPDATE bikes SET status = 'available', trip_id = NULL, rider_id = NULL, checked_out_at = NULL WHERE id = %s"


def start(api: Api, bike: Json, rider: str | None = None) -> requests.Response:
    return api.rider(rider).post("/v1/trips", {"bike_id": bike["id"]})


def bike_in(stack: Stack, bike: Json) -> tuple[str, str | None]:
    """The bike's status and its trip."""
    state = "SELECT status, trip_id::text FROM bikes WHERE id = %s"
    status, trip_id = stack.query("bike_service", state, bike["id"])[0]
    return str(status), trip_id


def test_bike_and_trip_agree_within_30_s_though_nobody_asks_again(stack: Stack) -> None:
    stranded, forgotten = stack.add_bikes(2)
    trip = ok(start(stack.api, forgotten), 201)
    exits = len(stack.supervisor.exits)
    stack.supervisor.arm("trip_service", "check-out-then-insert", 1)
    answer = start(stack.api, stranded, str(uuid.uuid4()))
    assert answer.status_code in (503, 504)
    eventually(lambda: len(stack.supervisor.exits) > exits)
    assert [(each.service, each.code) for each in stack.supervisor.exits[exits:]] == [("trip_service", KILLED)]
    assert bike_in(stack, stranded)[0] == "in_use"
    # A crash soon after the other: what is to be put right is known to the databases alone.
    stack.wait_until_healthy(30)
    stack.supervisor.kill("trip_service")
    # as if bike_service had come back from a backup older than the check-out
    stack.query("bike_service", FREE, forgotten["id"])
    assert len(unrest(stack)) >= 2
    problems, _ = settle(stack)
    assert problems == []
    assert bike_in(stack, stranded) == ("available", None)
    assert bike_in(stack, forgotten) == ("in_use", trip["id"])
    ok(stack.api.operator().post(f"/v1/trips/{trip['id']}/end"))
    assert bike_in(stack, forgotten)[0] == "available"
