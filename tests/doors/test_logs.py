"""Nothing of what must stay private is in a log, at the level DEBUG and after errors of every kind."""

import json
import uuid
from urllib.parse import urlsplit

import pytest
from kombu import Connection

from shared.http_json import dump
from tests.e2e.broker import Broker
from tests.e2e.client import Api, Client, Json, eventually, ok, problem, unknown_id
from tests.e2e.telemetry import position, report, wait_at
from tests.private import assert_private
from tests.stack import RunningStack

# Nobody else is there.
HERE = (170.123456789, -45.987654321)
SECRET_WORD = f"marker-{uuid.uuid4().hex}"


def in_logs(stack: RunningStack, text: str) -> list[str]:
    return [
        line[:300] for log in stack.log_folder.glob("*.log") for line in log.read_text().splitlines() if text in line
    ]


def test_secrets_and_places_stay_out_of_the_logs(
    stack: RunningStack, api: Api, broker: Broker, rider: Client, trip: Json, vehicle: Client
) -> None:
    bike_id = trip["bike_id"]
    sent = position(HERE)
    report(vehicle, bike_id, [sent])
    wait_at(api.operator(), bike_id, sent)
    ok(rider.get(f"/v1/trips/{trip['id']}/route"))
    ok(api.anonymous.get("/v1/bikes", lat=str(HERE[1]), lon=str(HERE[0])))
    ok(api.anonymous.get("/v1/bikes", bbox="170,-46,171,-45"))
    bad_place = {"type": "Point", "coordinates": [HERE[0], 95.987654321]}
    problem(vehicle.post(f"/v1/bikes/{bike_id}/positions", {"positions": [{**sent, "location": bad_place}]}), 422)
    problem(api.anonymous.get("/v1/trips", headers={"Authorization": f"Bearer {SECRET_WORD}"}), 401)
    problem(api.anonymous.get("/v1/trips", headers={"Authorization": f"Basic {SECRET_WORD}"}), 401)
    problem(api.anonymous.get("/v1/bikes", access_token=SECRET_WORD), 422)
    problem(rider.post("/v1/trips", {"bike_id": unknown_id()}, headers={"Idempotency-Key": SECRET_WORD}), 409)
    ok(rider.post(f"/v1/trips/{trip['id']}/end", {"location": {"type": "Point", "coordinates": list(HERE)}}))
    # By messages: unreadable, invalid, of a bike that is none; and events that are none.
    broker.publish(b"\xff" + SECRET_WORD.encode(), "fleet.position")
    broker.publish({"positions": [{**sent, "bike_id": SECRET_WORD}]}, "fleet.position")
    broker.publish({"positions": [{**sent, "bike_id": unknown_id()}]}, "fleet.position")
    with Connection(stack.amqp_uri) as connection:
        for body in (b"\xff" + SECRET_WORD.encode(), dump({"id": SECRET_WORD, "data": {"location": list(HERE)}})):
            connection.Producer().publish(
                body,
                exchange="trip_service.events",
                routing_key="trip_ended",
                content_type="application/json",
                content_encoding="utf-8",
            )
    eventually(lambda: len(in_logs(stack, "an event cannot be handled")) >= 2)
    for text in (SECRET_WORD, "170.1234567", "45.9876543", "95.9876543"):
        assert in_logs(stack, text) == []
    assert_private(stack)


def test_the_subject_of_a_request_is_in_its_access_line(stack: RunningStack, rider: Client) -> None:
    """Operators need it: who did what, by the request's id."""
    response = rider.get("/v1/trips")
    [line] = [json.loads(text) for text in full_lines(stack, response.headers["X-Request-ID"], "http.access")]
    assert (line["sub"], line["role"]) == (rider.sub, "rider")


def full_lines(stack: RunningStack, request_id: str, logger: str) -> list[str]:
    lines = eventually(
        lambda: [
            line
            for line in (stack.log_folder / "gateway_service.log").read_text().splitlines()
            if f'"{request_id}"' in line and f'"{logger}"' in line
        ]
    )
    return list(lines)


LEAKS = [
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln",
    "{'Authorization': 'Bearer abcdefghijkl.x'}",
    '{"type": "Point", "coordinates": [170.1, -45.9]}',
    "{'coordinates': [170.1, -45.9]}",
    '"longitude": 170.1',
    "GET /v1/bikes?lat=45",
    "DETAIL:  Key (rider_id)=(ann) already exists.",
    "x" * 30_000,
]


@pytest.mark.parametrize("leak", [*LEAKS, "amqp", "database", "jwt"], ids=lambda leak: leak[:20])
def test_what_is_looked_for_would_be_found(stack: RunningStack, tmp_path, leak: str) -> None:
    secrets = {
        "amqp": urlsplit(stack.amqp_uri).password,
        "database": urlsplit(stack.bike_database_url).password,
        "jwt": stack.jwt_secret,
    }
    found = RunningStack(**{**vars(stack), "log_folder": tmp_path})
    (tmp_path / "some.log").write_text(json.dumps({"message": "all is well"}) + "\n")
    assert_private(found)
    (tmp_path / "some.log").write_text(json.dumps({"message": secrets.get(leak, leak)}) + "\n")
    with pytest.raises(AssertionError):
        assert_private(found)
