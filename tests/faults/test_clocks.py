"""Bikes whose clocks are wrong."""

from datetime import UTC, datetime, timedelta

from tests.e2e.broker import DEAD_QUEUES, Broker
from tests.e2e.client import Json, errors, iso, now, ok
from tests.faults.stack import Stack
from tests.waiting import eventually

HOUR = timedelta(hours=1)


def position(bike_id: str, at: datetime, longitude: float = -72.6) -> Json:
    location = {"type": "Point", "coordinates": [longitude, 42.3]}
    return {"bike_id": bike_id, "recorded_at": iso(at), "location": location}


def shown(stack: Stack, bike_id: str) -> Json:
    bike: Json = ok(stack.api.operator().get(f"/v1/bikes/{bike_id}"))
    return bike


def times_stored(stack: Stack, bike_id: str) -> list[datetime]:
    rows = stack.query("trip_service", "SELECT recorded_at FROM positions WHERE bike_id = %s ORDER BY 1", bike_id)
    return [row[0].astimezone(UTC) for row in rows]


def test_a_bike_an_hour_ahead_is_told_so_and_does_not_move(stack: Stack) -> None:
    bike_id, operator, broker = stack.add_bikes(1)[0]["id"], stack.api.operator(), Broker(stack.amqp_uri)
    ahead, right = now() + HOUR, now()
    found = errors(operator.post("/v1/positions", {"positions": [position(bike_id, ahead)]}))
    assert "positions.0.recorded_at" in found
    broker.publish({"positions": [position(bike_id, ahead)]}, "fleet.position", timestamp=int(right.timestamp()))
    for queue in DEAD_QUEUES:
        assert broker.wait_dead(queue, bike_id).has_header_value("invalid")
    broker.publish({"positions": [position(bike_id, right)]}, "fleet.position", timestamp=int(right.timestamp()))
    eventually(lambda: times_stored(stack, bike_id) == [right])
    eventually(lambda: shown(stack, bike_id)["located_at"] == iso(right))
    stack.purge(*DEAD_QUEUES)


def test_a_bike_whose_clock_jumps_back_stays_where_it_was_last_until_its_time_catches_up(stack: Stack) -> None:
    bike_id, operator = stack.add_bikes(1)[0]["id"], stack.api.operator()
    first, back, later = now(), now() - HOUR, now() + timedelta(seconds=5)

    def report(at: datetime, longitude: float) -> None:
        body = {"positions": [position(bike_id, at, longitude)]}
        assert ok(operator.post("/v1/positions", body), 202) == {"accepted": 1}

    report(first, -72.6)
    eventually(lambda: shown(stack, bike_id)["located_at"] == iso(first))
    report(back, -72.5)
    wait_for_bike_service(stack)
    bike = shown(stack, bike_id)
    assert (bike["located_at"], bike["location"]["coordinates"]) == (iso(first), [-72.6, 42.3])
    report(later, -72.4)
    eventually(lambda: shown(stack, bike_id)["located_at"] == iso(later))
    assert shown(stack, bike_id)["location"]["coordinates"] == [-72.4, 42.3]
    eventually(lambda: times_stored(stack, bike_id) == [back, first, later])


def wait_for_bike_service(stack: Stack) -> None:
    """Until it has handled what was reported before: it takes messages in their order."""
    bike_id = stack.add_bikes(1)[0]["id"]
    ok(stack.api.operator().post("/v1/positions", {"positions": [position(bike_id, now())]}), 202)
    eventually(lambda: shown(stack, bike_id)["located_at"] is not None)
