"""`Idempotency-Key` on POST /v1/trips and POST /v1/bikes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import eventlet
import pytest
import requests

from tests.e2e.client import Api, Client, Json, eventually, ok, problem, unique
from tests.e2e.geo import far_away, point

AddBike = Callable[..., Json]


@dataclass
class Case:
    """A route that takes a key: who posts what to it, and what is there afterwards."""

    path: str
    role: str
    body: Callable[[], Json]
    made: Callable[[Client, Json], list[Json]]

    def post(self, client: Client, body: Json, key: str) -> requests.Response:
        return client.post(self.path, body, headers={"Idempotency-Key": key})


@pytest.fixture(params=["trips", "bikes"])
def case(request: pytest.FixtureRequest, add_bike: AddBike) -> Case:
    if request.param == "trips":

        def trips(client: Client, body: Json) -> list[Json]:
            return client.all("/v1/trips", bike_id=body["bike_id"])

        return Case("/v1/trips", "rider", lambda: {"bike_id": add_bike()["id"]}, trips)

    def bikes(client: Client, body: Json) -> list[Json]:
        lon, lat = body["location"]["coordinates"]
        return client.all("/v1/bikes", bbox=f"{lon - 0.001},{lat - 0.001},{lon + 0.001},{lat + 0.001}")

    # without a name, nothing but the key tells a repetition from a second bike
    return Case("/v1/bikes", "operator", lambda: {"location": point(far_away())}, bikes)


def replayed(response: requests.Response) -> bool:
    return response.headers.get("Idempotency-Replayed") == "true"


def test_the_same_key_gives_the_first_answer_again(api: Api, case: Case) -> None:
    client, body, key = api.client(case.role), case.body(), unique("key")
    first = case.post(client, body, key)
    created = ok(first, 201)
    assert not replayed(first)
    for _ in range(2):
        again = case.post(client, body, key)
        assert ok(again, 201) == created
        assert replayed(again)
        assert again.headers.get("Location") == first.headers.get("Location")
    assert [found["id"] for found in case.made(client, body)] == [created["id"]]


def test_the_first_answer_is_given_again_after_things_have_changed(api: Api, operator: Client, case: Case) -> None:
    client, body, key = api.client(case.role), case.body(), unique("key")
    created = ok(case.post(client, body, key), 201)
    if case.role == "rider":
        ok(client.post(f"/v1/trips/{created['id']}/end"))
    else:
        ok(operator.patch(f"/v1/bikes/{created['id']}", {"name": unique("renamed")}))
    again = case.post(client, body, key)
    assert ok(again, 201) == created
    assert replayed(again)
    assert [found["id"] for found in case.made(client, body)] == [created["id"]]


def test_the_same_key_with_another_body_is_422(api: Api, case: Case) -> None:
    client, body, other, key = api.client(case.role), case.body(), case.body(), unique("key")
    created = ok(case.post(client, body, key), 201)
    problem(case.post(client, other, key), 422)
    assert case.made(client, body)[0]["id"] == created["id"]
    if case.role == "operator":
        assert case.made(client, other) == []
    # the first answer is still kept
    assert ok(case.post(client, body, key), 201) == created


def test_concurrent_duplicates_have_one_effect(api: Api, case: Case) -> None:
    client, body, key = api.client(case.role), case.body(), unique("key")
    pool = eventlet.GreenPool(10)
    answers = [thread.wait() for thread in [pool.spawn(case.post, client, body, key) for _ in range(10)]]
    created = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert len(created) == 1
    assert sum(answer.status_code == 201 and not replayed(answer) for answer in answers) <= 1
    for answer in answers:
        if answer.status_code != 201:
            problem(answer, 409)
            assert int(answer.headers["Retry-After"]) >= 0
    assert {found["id"] for found in case.made(client, body)} == created
    assert len(case.made(client, body)) == 1
    # whoever was told to try again gets the first answer
    again = case.post(client, body, key)
    assert {ok(again, 201)["id"]} == created
    assert replayed(again)


def test_the_same_key_of_another_subject_is_independent(api: Api, case: Case) -> None:
    key = unique("key")
    one, two = api.client(case.role), api.client(case.role)
    body, other = case.body(), case.body()
    first = ok(case.post(one, body, key), 201)
    response = case.post(two, other, key)
    second = ok(response, 201)
    assert not replayed(response)
    assert first["id"] != second["id"]


def test_the_same_key_and_body_of_another_subject_is_independent(api: Api) -> None:
    key, body = unique("key"), {"location": point(far_away())}
    ids = {ok(api.operator().post("/v1/bikes", body, headers={"Idempotency-Key": key}), 201)["id"] for _ in range(2)}
    assert len(ids) == 2


def test_another_key_is_another_attempt(api: Api, case: Case) -> None:
    client, body = api.client(case.role), case.body()
    ok(case.post(client, body, unique("key")), 201)
    second = case.post(client, body, unique("key"))
    assert not replayed(second)
    if case.role == "rider":
        problem(second, 409)
    else:
        ok(second, 201)
        assert len(case.made(client, body)) == 2


@pytest.mark.parametrize("key", ["k", "!~/+=:;,.{}\"'", "x" * 219 + "!"], ids=["short", "symbols", "long"])
def test_a_key_is_1_to_255_visible_characters(api: Api, case: Case, key: str) -> None:
    client, body = api.client(case.role), case.body()
    key = (key * 255)[:255] if key.startswith("x") else key
    created = ok(case.post(client, body, key), 201)
    assert ok(case.post(client, body, key), 201) == created


def test_the_409_of_a_bike_that_was_not_available_is_kept(rider: Client, operator: Client, bike: Json) -> None:
    path, body, headers = f"/v1/bikes/{bike['id']}", {"bike_id": bike["id"]}, {"Idempotency-Key": unique("key")}
    ok(operator.patch(path, {"status": "out_of_service"}))
    first = problem(rider.post("/v1/trips", body, headers=headers), 409)
    ok(operator.patch(path, {"status": "available"}))
    again = rider.post("/v1/trips", body, headers=headers)
    assert same(problem(again, 409), first)
    assert replayed(again)
    assert eventually(lambda: rider.post("/v1/trips", body).status_code == 201)


def test_the_409_of_a_taken_name_is_kept(operator: Client, bike: Json) -> None:
    body, headers = {"name": bike["name"]}, {"Idempotency-Key": unique("key")}
    first = problem(operator.post("/v1/bikes", body, headers=headers), 409)
    ok(operator.patch(f"/v1/bikes/{bike['id']}", {"name": unique("renamed")}))
    again = operator.post("/v1/bikes", body, headers=headers)
    assert same(problem(again, 409), first)
    assert replayed(again)
    ok(operator.post("/v1/bikes", body), 201)


def same(a: Json, b: Json) -> bool:
    """Whether two problems say the same."""
    fields: tuple[Any, ...] = ("type", "title", "status", "detail")
    return [a[field] for field in fields] == [b[field] for field in fields]
