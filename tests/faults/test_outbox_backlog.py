"""A full outbox after an outage of the broker drains, and nothing new waits behind it."""

import json
import time
import uuid

import pytest
from kombu import Connection, Queue

from tests.e2e.client import iso, now, ok
from tests.faults.length import LONG
from tests.faults.report import Report
from tests.faults.stack import BACK_WITHIN_S, Stack
from tests.waiting import eventually

BACKLOG = 100_000 if LONG else 10_000
# Nobody handles it but who listens to everything.
TYPE = "trip_started"
FILL = """
    INSERT INTO outbox (event_id, type, payload)
    SELECT id::text, %s, replace(%s, 'EVENT', id::text)
    FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, %s)) AS ids
"""


def left(stack: Stack) -> int:
    return int(stack.query("trip_service", "SELECT count(*) FROM outbox")[0][0])


def fill(stack: Stack) -> str:
    """Put BACKLOG events about one trip into the outbox; its id."""
    trip_id = str(uuid.uuid4())
    payload = {
        "id": "EVENT",
        "type": TYPE,
        "occurred_at": iso(now()),
        "version": 1,
        "data": {"id": trip_id, "revision": 1},
    }
    stack.query("trip_service", FILL, TYPE, json.dumps(payload), BACKLOG)
    return trip_id


@pytest.mark.timeout(1800)
def test_a_full_outbox_drains_and_holds_up_nothing_new(stack: Stack, report: Report) -> None:
    stack.listener.collect()
    rider, bike_id = stack.api.rider(), stack.add_bikes(1)[0]["id"]
    trip = ok(rider.post("/v1/trips", {"bike_id": bike_id}), 201)
    with Connection(stack.amqp_uri) as connection, connection.channel() as channel:
        news = Queue("", exclusive=True)(channel)
        news.queue_declare()
        news.bind_to("trip_service.events", routing_key="trip_ended")
        stack.servers.broker.pause()
        try:
            backlog_id = fill(stack)
        finally:
            stack.servers.broker.resume()
        since = time.monotonic()
        stack.wait_until_healthy(BACK_WITHIN_S)
        ok(rider.post(f"/v1/trips/{trip['id']}/end"))
        asked = time.monotonic()
        message = eventually(lambda: news.get(no_ack=True), 30)
        waited = time.monotonic() - asked
    news_id = json.loads(message.body)["id"]
    assert json.loads(message.body)["data"]["id"] == trip["id"]
    assert waited < 5
    eventually(lambda: left(stack) == 0, BACKLOG / 100)
    took = time.monotonic() - since
    stack.listener.collect()
    # In the order of their arrival, which a slow look at the outbox does not change.
    come = [
        each["id"]
        for each in stack.listener.events.values()
        if each["data"]["id"] == backlog_id or each["id"] == news_id
    ]
    assert len(come) == BACKLOG + 1
    behind = BACKLOG - come.index(news_id)
    assert behind > BACKLOG / 4, f"the event of the end came after {BACKLOG - behind} older ones"
    stack.listener.forget(backlog_id)
    report.notes.append(
        f"an outbox of {BACKLOG} events drained in {took:.0f} s; a new event waited {waited:.2f} s,"
        f" {behind} of the backlog came after it"
    )
