"""bike_service by RPC: adding, reading, changing and retiring bikes."""

from collections.abc import Iterator
from typing import Any

import pytest
from nameko.exceptions import IncorrectSignature

from shared.errors import Conflict, Invalid, NotFound
from tests.integration import builders
from tests.integration.builders import ANONYMOUS, OPERATOR, ZURICH, new_id, outcomes, point, query, rider


@pytest.fixture(scope="module")
def bikes(amqp_uri: str, bike_database_url: str) -> Iterator[Any]:
    with builders.bike_service(amqp_uri, bike_database_url) as client:
        yield client


def count(url: str, bike_id: str) -> int:
    return int(query(url, "SELECT count(*) FROM bikes WHERE id = :id", id=bike_id)[0][0])


def test_a_bike_needs_nothing_to_be_added(bikes: Any) -> None:
    bike = bikes.add()
    assert bike == {
        "id": bike["id"],
        "name": None,
        "status": "available",
        "location": None,
        "located_at": None,
        "battery_percent": None,
        "vehicle_type_id": "bike",
        "created_at": bike["created_at"],
        "updated_at": bike["created_at"],
    }
    assert bikes.get(bike["id"]) == bike


def test_a_bike_added_with_a_location_is_there_since_its_adding(bikes: Any) -> None:
    bike_id = new_id()
    bike = bikes.add({"id": bike_id, "name": "Röslein 🚲", "location": point(ZURICH), "battery_percent": 80.5})
    assert (bike["id"], bike["name"], bike["battery_percent"]) == (bike_id, "Röslein 🚲", 80.5)
    assert bike["location"] == point(ZURICH)
    assert bike["located_at"] == bike["created_at"] == bike["updated_at"]
    assert bikes.get(bike_id.upper()) == bike


def test_adding_again_under_the_same_id_has_no_further_effect(bikes: Any) -> None:
    bike = {"id": new_id(), "name": new_id()}
    first = bikes.add(bike)
    assert bikes.add(bike) == first
    assert bikes.add({"id": bike["id"], "name": "another"}) == first


def test_a_name_is_unique(bikes: Any) -> None:
    name = new_id()
    bikes.add({"name": name})
    with pytest.raises(Conflict) as refused:
        bikes.add({"name": name})
    assert set(refused.value.errors) == {"name"}


def test_an_idempotency_key_gives_the_first_answer_again(bikes: Any) -> None:
    key, wanted = new_id(), {"battery_percent": 50}
    first = bikes.add({"id": new_id(), **wanted}, subject="olga", idempotency_key=key)
    assert first["replayed"] is False
    bikes.change(first["id"], {"name": new_id()})
    again = bikes.add({"id": new_id(), **wanted}, subject="olga", idempotency_key=key)
    assert again == {**first, "replayed": True}


def test_an_idempotency_key_belongs_to_its_subject(bikes: Any) -> None:
    key = new_id()
    first = bikes.add({"id": new_id()}, subject="olga", idempotency_key=key)
    other = bikes.add({"id": new_id()}, subject="oskar", idempotency_key=key)
    assert other["replayed"] is False
    assert other["id"] != first["id"]


def test_an_idempotency_key_cannot_be_used_for_another_bike(bikes: Any) -> None:
    key = new_id()
    bikes.add({"name": new_id()}, subject="olga", idempotency_key=key)
    with pytest.raises(Invalid) as refused:
        bikes.add({"name": new_id()}, subject="olga", idempotency_key=key)
    assert "Idempotency-Key" in refused.value.errors


def test_a_refusal_is_kept_as_the_answer_to_its_key(bikes: Any) -> None:
    key, name = new_id(), new_id()
    holder = bikes.add({"name": name})
    with pytest.raises(Conflict) as first:
        bikes.add({"name": name}, subject="olga", idempotency_key=key)
    assert not first.value.replayed
    bikes.change(holder["id"], {"name": new_id()})
    with pytest.raises(Conflict) as again:
        bikes.add({"name": name}, subject="olga", idempotency_key=key)
    assert again.value.replayed
    assert again.value.detail == first.value.detail


def test_an_idempotency_key_is_forgotten_after_a_day(bikes: Any, bike_database_url: str) -> None:
    key = new_id()
    bikes.add({"battery_percent": 1}, subject="olga", idempotency_key=key)
    sql = "UPDATE idempotency_keys SET created_at = created_at - interval '24 hours' WHERE key = :key"
    query(bike_database_url, sql, key=key)
    assert bikes.add({"battery_percent": 2}, subject="olga", idempotency_key=key)["replayed"] is False


def test_concurrent_adds_under_one_key_add_one_bike(bikes: Any) -> None:
    key, name = new_id(), new_id()
    wanted = [{"id": new_id(), "name": name} for _ in range(10)]
    calls = [bikes.add.call_async(bike, subject="olga", idempotency_key=key) for bike in wanted]
    answers, errors = outcomes(calls)
    assert errors == []
    assert len({answer["id"] for answer in answers}) == 1
    assert sorted(answer["replayed"] for answer in answers) == [False] + [True] * 9


def test_a_batch_is_added_in_its_order(bikes: Any) -> None:
    wanted = [{"id": new_id(), "location": point((lon, 10))} for lon in range(20)]
    added = bikes.add_many(wanted)["items"]
    assert [bike["id"] for bike in added] == [bike["id"] for bike in wanted]
    assert [bike["location"] for bike in added] == [bike["location"] for bike in wanted]


def test_a_batch_repeated_under_the_same_ids_has_no_further_effect(bikes: Any) -> None:
    wanted = [{"id": new_id(), "name": new_id()} for _ in range(5)]
    first = bikes.add_many(wanted)
    assert bikes.add_many(wanted) == first
    with_more = bikes.add_many([*wanted, {"name": new_id()}])["items"]
    assert with_more[:5] == first["items"]


def test_a_batch_with_a_taken_name_adds_nothing_and_names_the_rows(bikes: Any, bike_database_url: str) -> None:
    taken, twice = new_id(), new_id()
    bikes.add({"name": taken})
    rows: list[Any] = [{"name": new_id()}, {"name": taken}, {"name": twice}, {}, {"name": twice}]
    rows = [{"id": new_id(), **row} for row in rows]
    with pytest.raises(Conflict) as refused:
        bikes.add_many(rows)
    assert set(refused.value.errors) == {"bikes.1.name", "bikes.4.name"}
    assert [count(bike_database_url, row["id"]) for row in rows] == [0] * 5


def test_a_batch_with_bad_rows_adds_nothing_and_names_them(bikes: Any, bike_database_url: str) -> None:
    good = {"id": new_id()}
    bad_place = {"location": {"type": "Point", "coordinates": [181, 0]}}
    with pytest.raises(Invalid) as refused:
        bikes.add_many([good, bad_place, {"battery_percent": 101}, {"colour": "red"}])
    assert set(refused.value.errors) == {"bikes.1.location.coordinates", "bikes.2.battery_percent", "bikes.3.colour"}
    assert count(bike_database_url, good["id"]) == 0


def test_a_batch_with_one_id_twice_is_one_bike(bikes: Any) -> None:
    bike = {"id": new_id()}
    first, second = bikes.add_many([bike, bike])["items"]
    assert first == second


def test_an_unknown_bike_is_not_found(bikes: Any) -> None:
    for call in (
        lambda: bikes.get(new_id()),
        lambda: bikes.change(new_id(), {"name": "x"}),
        lambda: bikes.retire(new_id()),
        lambda: bikes.check_out(new_id(), new_id(), "rita"),
        lambda: bikes.check_in(new_id(), new_id()),
    ):
        with pytest.raises(NotFound):
            call()


def test_a_bike_in_use_is_located_only_for_those_who_may_know(bikes: Any) -> None:
    bike = bikes.add({"location": point(ZURICH)})
    bikes.check_out(bike["id"], new_id(), "rita")
    for viewer in (None, OPERATOR, rider("rita"), {"role": "vehicle", "sub": bike["id"]}):
        seen = bikes.get(bike["id"], viewer=viewer)
        assert (seen["location"], seen["located_at"]) == (bike["location"], bike["located_at"])
    for viewer in (ANONYMOUS, rider("rolf"), {"role": "rider"}, {"role": "vehicle", "sub": new_id()}):
        seen = bikes.get(bike["id"], viewer=viewer)
        assert (seen["status"], seen["location"], seen["located_at"]) == ("in_use", None, None)


def test_a_change_shows_and_counts_as_an_update(bikes: Any) -> None:
    bike, name = bikes.add(), new_id()
    changed = bikes.change(bike["id"], {"name": name, "status": "out_of_service"})
    assert changed == {**bike, "name": name, "status": "out_of_service", "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > bike["updated_at"]
    assert bikes.change(bike["id"], {"status": "available"})["status"] == "available"


def test_a_change_to_what_is_already_so_changes_nothing(bikes: Any) -> None:
    bike = bikes.add({"name": new_id()})
    assert bikes.change(bike["id"], {"name": bike["name"], "status": "available"}) == bike
    assert bikes.change(bike["id"], {}) == bike


def test_a_bike_cannot_take_the_name_of_another(bikes: Any) -> None:
    bike, other = bikes.add({"name": new_id()}), bikes.add({"name": new_id()})
    with pytest.raises(Conflict) as refused:
        bikes.change(bike["id"], {"name": other["name"], "status": "out_of_service"})
    assert "name" in refused.value.errors
    assert bikes.get(bike["id"]) == bike


def test_a_bike_in_use_is_neither_changed_nor_retired(bikes: Any) -> None:
    bike = bikes.add()
    in_use = bikes.check_out(bike["id"], new_id(), "rita")
    for call in (bikes.retire, lambda bike_id: bikes.change(bike_id, {"status": "available"})):
        with pytest.raises(Conflict):
            call(bike["id"])
    assert bikes.get(bike["id"]) == in_use


def test_a_retired_bike_stays_retired(bikes: Any) -> None:
    bike = bikes.add({"name": new_id()})
    retired = bikes.retire(bike["id"])
    assert retired["status"] == "retired"
    assert bikes.retire(bike["id"]) == retired == bikes.get(bike["id"])
    for call in (
        lambda: bikes.change(bike["id"], {"status": "available"}),
        lambda: bikes.check_out(bike["id"], new_id(), "rita"),
    ):
        with pytest.raises(Conflict):
            call()


def test_health_asks_the_database(bikes: Any) -> None:
    assert bikes.health() == {"status": "ok"}


@pytest.mark.parametrize(
    ("method", "arguments", "fields"),
    [
        ("add", {"bike": {"name": 7, "colour": "red"}}, {"bike.name", "bike.colour"}),
        ("add", {"bike": {"name": ""}}, {"bike.name"}),
        ("add", {"bike": {"location": {"type": "Point", "coordinates": [0, 91]}}}, {"bike.location.coordinates"}),
        ("add", {"bike": {"location": [8, 47]}}, {"bike.location"}),
        ("add", {"bike": {"battery_percent": True}}, {"bike.battery_percent"}),
        ("add", {"bike": {"id": "7"}, "subject": 5}, {"bike.id", "subject"}),
        ("add", {"bike": "a red one"}, {"bike"}),
        ("add_many", {"bikes": []}, {"bikes"}),
        ("add_many", {"bikes": [{}] * 1001}, {"bikes"}),
        ("add_many", {"bikes": {}}, {"bikes"}),
        ("get", {"bike_id": "7"}, {"bike_id"}),
        ("get", {"bike_id": 7, "viewer": {"role": "king"}}, {"bike_id", "viewer.role"}),
        ("list", {"status": "lost", "limit": 501, "bbox": [0, 0, 1]}, {"status", "limit", "bbox"}),
        ("list", {"limit": 0, "bbox": [0, 10, 1, 9]}, {"limit", "bbox"}),
        ("list", {"limit": "5", "bbox": ["0", 0, 1, 1]}, {"limit", "bbox.0"}),
        ("list", {"limit": True}, {"limit"}),
        ("list", {"cursor": "garbage"}, {"cursor"}),
        ("near", {"lat": 91, "lon": -181, "radius": 50_001}, {"lat", "lon", "radius"}),
        ("near", {"lat": 0, "lon": 0, "radius": -1, "limit": 0, "status": "lost"}, {"radius", "limit", "status"}),
        ("change", {"bike_id": new_id(), "changes": {"status": "in_use"}}, {"changes.status"}),
        ("change", {"bike_id": new_id(), "changes": {"status": 7, "id": "7"}}, {"changes.status", "changes.id"}),
        ("change", {"bike_id": new_id(), "changes": {"name": "x" * 101}}, {"changes.name"}),
        ("retire", {"bike_id": None}, {"bike_id"}),
        ("check_out", {"bike_id": "x", "trip_id": "y", "rider_id": ""}, {"bike_id", "trip_id", "rider_id"}),
        ("check_out", {"bike_id": new_id(), "trip_id": new_id(), "rider_id": "x" * 256}, {"rider_id"}),
        ("check_in", {"bike_id": None, "trip_id": None}, {"bike_id", "trip_id"}),
        ("check_outs", {"older_than_s": -1, "limit": 1000}, {"older_than_s", "limit"}),
        ("check_outs", {"cursor": "bm90IG91cnM"}, {"cursor"}),
    ],
)  # fmt: skip
def test_bad_arguments_are_invalid_by_field(bikes: Any, method: str, arguments: Any, fields: set[str]) -> None:
    with pytest.raises(Invalid) as refused:
        getattr(bikes, method)(**arguments)
    assert set(refused.value.errors) == fields
    assert all(message for messages in refused.value.errors.values() for message in messages)


def test_arguments_that_a_method_does_not_take_are_refused(bikes: Any) -> None:
    with pytest.raises(IncorrectSignature):
        bikes.get(new_id(), colour="red")
