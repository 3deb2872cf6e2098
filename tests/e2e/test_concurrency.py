"""Of any number of concurrent requests, one wins."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import eventlet
import pytest
import requests

from tests.e2e.client import Api, Client, Json, eventually, ok, problem

AddBike = Callable[..., Json]


def together(calls: Sequence[Callable[[], requests.Response]]) -> list[requests.Response]:
    """The answers of calls made at the same time."""
    pool = eventlet.GreenPool(len(calls))
    return [thread.wait() for thread in [pool.spawn(call) for call in calls]]


def counted(answers: list[requests.Response]) -> Counter[int]:
    for answer in answers:
        if answer.status_code >= 400:
            problem(answer, answer.status_code)
    return Counter(answer.status_code for answer in answers)


def wait_for_status(client: Client, bike_id: str, status: str) -> None:
    assert eventually(lambda: ok(client.get(f"/v1/bikes/{bike_id}"))["status"] == status)


def started(rider: Client, bike_id: str) -> requests.Response | None:
    answer = rider.post("/v1/trips", {"bike_id": bike_id})
    return answer if answer.status_code == 201 else None


@pytest.mark.timeout(300)
def test_of_50_concurrent_starts_of_one_bike_exactly_one_gets_201(
    api: Api, operator: Client, add_bike: AddBike
) -> None:
    riders = [api.rider() for _ in range(50)]
    for _ in range(20):
        bike = add_bike()["id"]
        calls = [partial(rider.post, "/v1/trips", {"bike_id": bike}) for rider in riders]
        answers = together(calls)
        assert counted(answers) == {201: 1, 409: 49}
        (trip,) = (answer.json() for answer in answers if answer.status_code == 201)
        assert [found["id"] for found in operator.all("/v1/trips", bike_id=bike)] == [trip["id"]]
        ok(operator.post(f"/v1/trips/{trip['id']}/end"))


def test_of_20_concurrent_starts_by_one_rider_exactly_one_gets_201(
    operator: Client, rider: Client, add_bike: AddBike
) -> None:
    bikes = [add_bike()["id"] for _ in range(20)]
    answers = together([partial(rider.post, "/v1/trips", {"bike_id": bike}) for bike in bikes])
    assert counted(answers) == {201: 1, 409: 19}
    (trip,) = (answer.json() for answer in answers if answer.status_code == 201)
    assert [found["id"] for found in rider.all("/v1/trips")] == [trip["id"]]
    # the bikes of the others are free again
    for bike in bikes:
        expected = "in_use" if bike == trip["bike_id"] else "available"
        wait_for_status(operator, bike, expected)


def test_concurrent_ends_of_one_trip_answer_the_same(rider: Client, operator: Client, trip: Json) -> None:
    clients = [rider, operator] * 10
    answers = together([partial(client.post, f"/v1/trips/{trip['id']}/end") for client in clients])
    assert counted(answers) == {200: 20}
    assert all(answer.json() == answers[0].json() for answer in answers)


def test_of_a_concurrent_end_and_cancel_one_wins(rider: Client, operator: Client, trip: Json) -> None:
    path = f"/v1/trips/{trip['id']}"
    ends = [partial(rider.post, f"{path}/end")] * 5
    cancels = [partial(operator.post, f"{path}/cancel")] * 5
    answers = together([call for pair in zip(ends, cancels, strict=True) for call in pair])
    ended, cancelled = counted(answers[::2]), counted(answers[1::2])
    assert (ended, cancelled) in [({200: 5}, {409: 5}), ({409: 5}, {200: 5})]
    assert ok(rider.get(path))["status"] == ("ended" if ended[200] else "cancelled")
    wait_for_status(operator, trip["bike_id"], "available")


def test_of_a_concurrent_start_and_delete_one_wins(api: Api, operator: Client, add_bike: AddBike) -> None:
    for _ in range(10):
        bike, rider = add_bike()["id"], api.rider()
        start, delete = together(
            [
                partial(rider.post, "/v1/trips", {"bike_id": bike}),
                partial(operator.delete, f"/v1/bikes/{bike}"),
            ]
        )
        if start.status_code == 201:
            problem(delete, 409)
            wait_for_status(operator, bike, "in_use")
        else:
            problem(start, 404, 409)
            assert delete.status_code == 204
            wait_for_status(operator, bike, "retired")


def test_of_concurrent_bikes_with_one_name_exactly_one_is_added(operator: Client, bike: Json) -> None:
    body = {"name": f"{bike['name']}-contested"}
    answers = together([partial(operator.post, "/v1/bikes", body)] * 20)
    assert counted(answers) == {201: 1, 409: 19}


@pytest.mark.timeout(120)
def test_a_bike_changes_hands_within_a_second_of_each_end(api: Api, add_bike: AddBike) -> None:
    bike = add_bike()["id"]
    for _ in range(10):
        rider = api.rider()
        answer = eventually(partial(started, rider, bike), timeout=1)
        ok(rider.post(f"/v1/trips/{answer.json()['id']}/end"))
