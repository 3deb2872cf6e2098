"""Rides that travel together: starts, ends, check-outs and check-ins, each with its own outcome."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Any

import pytest

from shared.origins import Origin
from tests.integration import builders
from tests.integration.builders import Json, new_id, outcomes, point, query, ride, transaction
from trip_service import operations

PLACE = (8.5, 47.4)
TARIFF = builders.trip_config("")["SETTINGS"].tariff


@pytest.fixture(scope="module")
def services(amqp_uri: str, bike_database_url: str, trip_database_url: str) -> Iterator[Any]:
    with builders.both_services(amqp_uri, bike_database_url, trip_database_url) as proxy:
        yield proxy


@pytest.fixture
def bikes(services: Any) -> Any:
    return services.bike_service


@pytest.fixture
def trips(services: Any) -> Any:
    return services.trip_service


def fleet(bikes: Any, count: int) -> list[str]:
    return [bike["id"] for bike in bikes.add_many([{"location": point(PLACE)}] * count)["items"]]


def start(bike_id: Any, rider_id: str | None = None, trip_id: str | None = None, key: str | None = None) -> Json:
    """A call of `start`."""
    return {
        "bike_id": bike_id,
        "rider_id": rider_id or f"rider {new_id()}",
        "trip_id": trip_id or new_id(),
        "idempotency_key": key,
    }


def kinds(answers: list[Json]) -> list[str]:
    """Of each outcome its error's class, or `ok`."""
    return [answer["error"]["exc_type"] if answer["error"] else "ok" for answer in answers]


def status(bikes: Any, bike_id: str) -> str:
    return str(bikes.get(bike_id)["status"])


def test_each_start_of_a_batch_has_its_own_outcome(bikes: Any, trips: Any) -> None:
    free, busy, mine, others, kept = fleet(bikes, 5)
    bikes.check_out(busy, new_id(), "another")
    running, keyed = start(mine), start(kept, key=new_id())
    trips.start(**running)
    first = trips.start(**keyed)
    answers = trips.start_many([
        start(free),
        start(new_id()),
        start(busy),
        start(others, running["rider_id"]),
        start("seven"),
        running,
        {**keyed, "trip_id": new_id()},
        {**keyed, "bike_id": others},
    ])  # fmt: skip
    assert kinds(answers) == ["ok", "NotFound", "Conflict", "Conflict", "Invalid", "ok", "ok", "Invalid"]
    assert answers[0]["result"] == trips.get(answers[0]["result"]["id"])
    assert answers[0]["result"]["start_location"] == point(PLACE)
    assert answers[5]["result"] == trips.get(running["trip_id"])
    assert answers[6]["result"] == {**first, "replayed": True}
    assert [status(bikes, bike_id) for bike_id in (free, busy, mine, others)] == ["in_use"] * 3 + ["available"]


def test_of_one_bike_or_rider_in_several_starts_of_a_batch_one_is_had(bikes: Any, trips: Any) -> None:
    bike_id, rider_id, others = fleet(bikes, 1)[0], new_id(), fleet(bikes, 3)
    answers = trips.start_many([start(bike_id) for _ in range(3)] + [start(each, rider_id) for each in others])
    assert kinds(answers[:3]) == ["ok", "Conflict", "Conflict"]
    assert sorted(kinds(answers[3:])) == ["Conflict", "Conflict", "ok"]
    [riders] = trips.list(rider_id=rider_id)["items"]
    assert [each for each in others if status(bikes, each) == "in_use"] == [riders["bike_id"]]


def test_one_start_twice_in_a_batch_is_one_trip(bikes: Any, trips: Any) -> None:
    plain, keyed = start(fleet(bikes, 1)[0]), start(fleet(bikes, 1)[0], key=new_id())
    answers = trips.start_many([plain, keyed, plain, {**keyed, "trip_id": new_id()}])
    assert kinds(answers) == ["ok", "ok", "ok", "Conflict"]
    assert answers[0]["result"] == answers[2]["result"] == trips.get(plain["trip_id"])
    # Its twin has not answered yet: it is told to ask again.
    assert answers[3]["error"]["exc_args"][1]["retry_after"]
    assert trips.start(**keyed) == {**answers[1]["result"], "replayed": True}


def test_of_starts_of_a_batch_under_one_id_one_is_had(bikes: Any, trips: Any) -> None:
    trip_id, free = new_id(), fleet(bikes, 2)
    calls = [start(bike_id, rider_id, trip_id) for bike_id in free for rider_id in (new_id(), new_id())]
    answers = trips.start_many(calls)
    assert sorted(kinds(answers)) == ["Conflict", "Conflict", "Conflict", "ok"]
    trip = trips.get(trip_id)
    won = kinds(answers).index("ok")
    assert (trip["bike_id"], trip["rider_id"]) == (calls[won]["bike_id"], calls[won]["rider_id"])
    assert {status(bikes, each) for each in free if each != trip["bike_id"]} == {"available"}
    assert status(bikes, trip["bike_id"]) == "in_use"


def test_refusals_in_a_batch_are_kept_under_their_keys(bikes: Any, trips: Any) -> None:
    busy, calls = fleet(bikes, 1)[0], []
    bikes.check_out(busy, trip_id := new_id(), "another")
    calls = [start(busy, key=new_id()), start(new_id(), key=new_id())]
    assert kinds(trips.start_many(calls)) == ["Conflict", "NotFound"]
    bikes.check_in(busy, trip_id)
    again = trips.start_many([{**call, "trip_id": new_id()} for call in calls])
    assert kinds(again) == ["Conflict", "NotFound"]
    assert all(answer["error"]["exc_args"][1]["replayed"] for answer in again)


@contextmanager
def refusing_trips_of(url: str, rider_id: str) -> Iterator[None]:
    """While it lasts, the database fails on a new trip of one rider."""
    query(
        url,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN IF NEW.rider_id = '{rider_id}' THEN RAISE EXCEPTION 'no more trips'; END IF; RETURN NEW; END $$",
    )
    query(url, "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON trips FOR EACH ROW EXECUTE FUNCTION refuse()")
    try:
        yield
    finally:
        query(url, "DROP FUNCTION refuse CASCADE")


def test_a_start_that_cannot_be_stored_fails_alone_and_its_bike_is_free(
    bikes: Any, trips: Any, trip_database_url: str
) -> None:
    ids, key = fleet(bikes, 3), new_id()
    calls = [start(ids[0]), start(ids[1], "unlucky", key=key), start(ids[2])]
    with refusing_trips_of(trip_database_url, "unlucky"):
        answers = trips.start_many(calls)
    assert kinds(answers) == ["ok", "InternalError", "ok"]
    assert [status(bikes, bike_id) for bike_id in ids] == ["in_use", "available", "in_use"]
    # Nothing was kept under its key, so it starts the same trip now.
    assert trips.start(**{**calls[1], "trip_id": new_id()})["id"] == calls[1]["trip_id"]


def test_each_end_of_a_batch_has_its_own_outcome(bikes: Any, trips: Any, trip_database_url: str) -> None:
    one, two, cancelled, ended, foreign, unlucky = (trips.start(bike_id, new_id()) for bike_id in fleet(bikes, 6))
    trips.cancel(cancelled["id"])
    before = trips.end(ended["id"])
    query(trip_database_url, "UPDATE trips SET rider_id = 'unlucky end' WHERE id = :id", id=unlucky["id"])
    with refusing_trips_of(trip_database_url, "unlucky end"):
        answers = trips.end_many([
            {"trip_id": one["id"], "rider_id": one["rider_id"]},
            {"trip_id": two["id"], "location": point((8.6, 47.5))},
            {"trip_id": cancelled["id"]},
            {"trip_id": ended["id"]},
            {"trip_id": foreign["id"], "rider_id": "another"},
            {"trip_id": new_id()},
            {"trip_id": "seven"},
            {"trip_id": one["id"]},
            {"trip_id": unlucky["id"]},
        ])  # fmt: skip
    wanted = ["ok", "ok", "Conflict", "ok", "NotFound", "NotFound", "Invalid", "ok", "InternalError"]
    assert kinds(answers) == wanted
    assert answers[0]["result"] == answers[7]["result"] == trips.get(one["id"])
    assert (answers[0]["result"]["ended_by"], answers[1]["result"]["ended_by"]) == ("rider", "operator")
    assert answers[0]["result"]["end_location"] == point(PLACE)
    assert answers[1]["result"]["end_location"] == point((8.6, 47.5))
    assert answers[3]["result"] == before
    free = [status(bikes, trip["bike_id"]) for trip in (one, two, foreign, unlucky)]
    assert free == ["available", "available", "in_use", "in_use"]


def test_each_check_out_and_check_in_of_a_batch_has_its_own_outcome(bikes: Any) -> None:
    one, two, three, retired = fleet(bikes, 4)
    bikes.retire(retired)
    trip_id, rented = new_id(), new_id()
    bikes.check_out(three, rented, "rolf")

    def call(bike_id: str, trip: str, rider_id: str = "rita, \\ \"x\" {y} 'z' NULL") -> Json:
        return {"bike_id": bike_id, "trip_id": trip, "rider_id": rider_id}

    answers = bikes.check_out_many([
        call(one, trip_id), call(one, new_id()), call(two, rented), call(three, rented), call(retired, new_id()),
        call(new_id(), new_id()), call("x", trip_id), call(two, new_id(), "NULL"),
    ])  # fmt: skip
    wanted = ["ok", "Conflict", "Conflict", "ok", "Conflict", "NotFound", "Invalid", "ok"]
    assert kinds(answers) == wanted
    riders = {each["bike_id"]: each["rider_id"] for each in builders.walk(bikes.check_outs)}
    assert (riders[one], riders[two]) == ("rita, \\ \"x\" {y} 'z' NULL", "NULL")
    freed = bikes.check_in_many([
        {"bike_id": one, "trip_id": trip_id}, {"bike_id": one, "trip_id": trip_id}, {"bike_id": two, "trip_id": rented},
        {"bike_id": new_id(), "trip_id": trip_id},
    ])  # fmt: skip
    assert [each["result"] and each["result"]["released"] for each in freed] == [True, False, False, None]
    assert kinds(freed) == ["ok", "ok", "ok", "NotFound"]
    assert [status(bikes, bike_id) for bike_id in (one, two)] == ["available", "in_use"]


def test_batches_that_cross_do_not_wait_for_each_other(bikes: Any, trips: Any) -> None:
    for _ in range(5):
        ids = fleet(bikes, 20)
        calls = [start(bike_id) for bike_id in ids]
        answers, errors = outcomes([
            trips.start_many.call_async(calls), trips.start_many.call_async(calls[::-1]),
            bikes.check_out_many.call_async([{**_check_out(call), "trip_id": new_id()} for call in calls[::-1]]),
        ])  # fmt: skip
        assert errors == []
        assert {kind for answer in answers for kind in kinds(answer)} <= {"ok", "Conflict"}
        won = [answer for answer, other in zip(answers[0], answers[1][::-1], strict=True) if answer == other]
        assert len(won) == 20, "one call, delivered twice"
        started = [answer["result"]["id"] for answer in answers[0] if answer["result"]]
        ends = [{"trip_id": trip_id} for trip_id in started]
        answers, errors = outcomes([trips.end_many.call_async(each) for each in (ends, ends[::-1], ends, ends[::-1])])
        assert errors == []
        assert {kind for answer in answers for kind in kinds(answer)} <= {"ok"}


def _check_out(call: Json) -> Json:
    return {"bike_id": call["bike_id"], "rider_id": call["rider_id"]}


def test_an_event_of_a_batch_belongs_to_its_own_request(trip_database_url: str) -> None:
    rides = [ride(trip_database_url) for _ in range(3)]
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    origins = [Origin("first", traceparent), Origin("second"), None]
    calls = [{"trip_id": trip["id"], "origin": origin} for trip, origin in zip(rides, origins, strict=True)]
    with transaction(trip_database_url) as session:
        Context().run(operations.end, session, calls, TARIFF)  # no request of this thread's
        session.flush()
        sql = "SELECT request_id, traceparent, payload FROM outbox WHERE type = 'trip_ended'"
        rows = session.connection().exec_driver_sql(sql).all()
    of_trip = {trip["id"]: row[:2] for trip in rides for row in rows if trip["id"] in row[2]}
    assert [of_trip[trip["id"]] for trip in rides] == [("first", traceparent), ("second", None), (None, None)]


def test_a_start_nobody_waits_for_any_more_is_not_made(services: Any, amqp_uri: str, bikes: Any) -> None:
    late, patient = (start(bike_id) for bike_id in fleet(bikes, 2))
    with builders.calling(amqp_uri) as stock:
        data = {"deadlines": [1.0, 9e9], "request_ids": ["late", "patient"], "traceparents": ["", ""]}
        stock._worker_ctx.data.update(data)
        answers = stock.trip_service.start_many([late, patient])
    assert kinds(answers) == ["DeadlineExceeded", "ok"]
    assert status(bikes, late["bike_id"]) == "available"
