"""The checks after a benchmark see what is missing; its own publisher is understood by a real broker."""

import time
import uuid
from contextlib import closing

import pytest

from benchmarks import amqp_load, checks, fleet, telemetry
from benchmarks.errors import BenchmarkError
from benchmarks.limits import pgbench
from benchmarks.parts import Ground
from shared.amqp import connection
from shared.positions import EXCHANGE, TOPOLOGY, bike_key
from shared.topology import declare

BIKES = 20


@pytest.fixture
def ground(amqp_uri, bike_database_url, trip_database_url, monkeypatch):
    """Bikes, and nothing else; nobody consumes."""
    monkeypatch.setattr(checks, "LIMIT_S", 0.3)
    urls = [url.replace("+psycopg2", "") for url in (bike_database_url, trip_database_url)]
    ground = Ground("checks", amqp_uri, *urls)
    with connection(amqp_uri) as broker:
        declare(broker, TOPOLOGY)
    with closing(ground.bikes()) as bikes, closing(ground.trips()) as trips:
        fleet.empty(bikes, trips)
        fleet.fill(bikes, BIKES)
    return ground


def execute(session, statement, *values):
    with session.cursor() as cursor:
        cursor.execute(statement, values)


def store(ground, positions):
    statement = "INSERT INTO positions (bike_id, recorded_at, longitude, latitude) VALUES (%s, %s, %s, %s)"
    with closing(ground.trips()) as trips:
        for each in positions:
            execute(trips, statement, each.bike_id, each.recorded_at, each.longitude, each.latitude)


def reflect(ground, positions):
    with closing(ground.bikes()) as bikes:
        for each in positions:
            execute(
                bikes,
                "UPDATE bikes SET located_at = %s, longitude = %s, latitude = %s WHERE id = %s AND located_at < %s",
                each.recorded_at,
                each.longitude,
                each.latitude,
                each.bike_id,
                each.recorded_at,
            )


def test_positions_that_are_stored_and_reflected_pass(ground):
    positions = telemetry.Reports(fleet.bike_ids(BIKES)).take(50)
    store(ground, positions)
    reflect(ground, positions)
    checks.wait_stored(ground, positions)


def test_a_lost_position_is_seen(ground):
    positions = telemetry.Reports(fleet.bike_ids(BIKES)).take(50)
    store(ground, [*positions[:10], *positions[11:]])
    reflect(ground, positions)
    with pytest.raises(BenchmarkError, match="50 positions stored by trip_service"):
        checks.wait_stored(ground, positions)


def test_a_bike_that_is_not_at_its_newest_position_is_seen(ground):
    positions = telemetry.Reports(fleet.bike_ids(BIKES)).take(50)
    store(ground, positions)
    reflect(ground, positions[:-1])
    with pytest.raises(BenchmarkError, match="20 bikes of bike_service at their newest positions"):
        checks.wait_stored(ground, positions)


def test_counted_positions_may_be_more_than_accepted_but_not_more_than_sent(ground):
    positions = telemetry.Reports(fleet.bike_ids(BIKES)).take(50)
    store(ground, positions)
    reflect(ground, positions)
    now = time.time()
    checks.wait_counted(ground, now - 86_400, now, accepted=48, at_most=50)
    with pytest.raises(BenchmarkError, match="only 49 were sent"):
        checks.wait_counted(ground, now - 86_400, now, accepted=48, at_most=49)
    with pytest.raises(BenchmarkError, match="51 positions stored"):
        checks.wait_counted(ground, now - 86_400, now, accepted=51, at_most=60)


def ride(ground, status="ended"):
    trip = str(uuid.uuid4())
    with closing(ground.trips()) as trips:
        execute(
            trips,
            "INSERT INTO trips (id, bike_id, rider_id, status, started_at, ended_at, fare_amount)"
            " VALUES (%s, %s, %s, %s, now(), CASE WHEN %s = 'ended' THEN now() END, CASE WHEN %s = 'ended' THEN 1 END)",
            trip,
            fleet.bike_id(0),
            trip,
            status,
            status,
            status,
        )
    return trip


def test_rides_in_the_book_are_rows(ground, tmp_path):
    book = tmp_path / "book"
    ended = ride(ground)
    book.write_text(f"started {ended}\nended {ended}\n")
    checks.check_rides(ground, book, 1)
    book.write_text(f"started {uuid.uuid4()}\nstarted {ended}\nended {ended}\n")
    with pytest.raises(BenchmarkError, match="of 2 rides 1 are no rows, 0 are not ended"):
        checks.check_rides(ground, book, 1)
    active = ride(ground, "active")
    book.write_text(f"started {active}\nended {active}\n")
    with pytest.raises(BenchmarkError, match="0 are no rows, 1 are not ended"):
        checks.check_rides(ground, book, 1)
    book.write_text(f"started {active}\nended {active}\nended {ended}\n")
    with pytest.raises(BenchmarkError, match="1 others have ended"):
        checks.check_rides(ground, book, 1)


def test_an_outbox_that_does_not_empty_is_seen(ground):
    checks.wait_outbox_empty(ground)
    with closing(ground.trips()) as trips:
        execute(trips, "INSERT INTO outbox (event_id, type, payload) VALUES ('1', 'trip_ended', '{}')")
    with pytest.raises(BenchmarkError, match="the outbox empty"):
        checks.wait_outbox_empty(ground)


def test_messages_made_beforehand_are_confirmed_and_wait_in_both_queues(ground):
    positions = telemetry.Reports(fleet.bike_ids(BIKES)).take(600)
    messages = [
        amqp_load.frames(EXCHANGE.name, bike_key(each.bike_id), telemetry.message([each]), int(time.time()))
        for each in positions
    ]
    with amqp_load.Publisher(ground.amqp_uri) as broker:
        broker.publish_all(messages)
        assert [broker.depth(queue) for queue in checks.QUEUES] == [600, 600]
        lost = amqp_load.frames(EXCHANGE.name, "nobody.listens", b"{}", int(time.time()))
        with pytest.raises(BenchmarkError, match="came back"):
            broker.publish_all([lost])


def test_pgbench_runs_its_script(ground):
    sample = pgbench.run(ground.bike_url, pgbench.GET_BIKE.format(last=BIKES - 1), 1)
    assert sample.count > 0
