import threading
from datetime import datetime, timedelta
from typing import Any

import pytest

from replay.__main__ import main
from replay.client import OPERATOR, ApiError, Caller, Gateway, Stopped, Unavailable
from replay.connection import Connection
from replay.fleet import free_name, prepare
from replay.ride import Outcome, perform
from replay.source import Point, Ride

STARTED_AT = "2024-05-01T12:00:00.000001Z"
SECOND_NS = 1_000_000_000


class Recorded(Gateway):
    """Answers by method and path from a table of answers (the last of each is repeated), never waits, keeps calls."""

    def __init__(self, answers: dict[str, list[Any]]) -> None:
        super().__init__(Connection("http://gateway", "s" * 32), threading.Event(), connections=0)
        self.answers = answers
        self.calls: list[tuple[str, Caller, Any, str | None]] = []

    def call(
        self,
        method: str,
        path: str,
        caller: Caller,
        *,
        body: object = None,
        params: object = None,
        key: str | None = None,
        patience_s: float | None = None,
    ) -> Any:
        name = f"{method} {path}"
        self.calls.append((name, caller, body if method != "GET" else params, key))
        given = self.answers[name]
        answer = given.pop(0) if len(given) > 1 else given[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pause(self, seconds: float) -> None:
        if self.stop.is_set():
            raise Stopped


def doors(**changes: Any) -> Recorded:
    answers: dict[str, list[Any]] = {
        "POST /v1/trips": [{"id": "t", "started_at": STARTED_AT}],
        "POST /v1/bikes/b/positions": [{}],
        "POST /v1/trips/t/end": [{}],
        "POST /v1/trips/t/cancel": [{}],
    }
    return Recorded(answers | changes)


RIDE = Ride("r", "924", 0, [Point(0, 1, 2), Point(0, 9, 9), Point(6 * SECOND_NS, 3, 4), Point(900 * SECOND_NS, 5, 6)])


def ride(gateway: Gateway, subject: Ride = RIDE) -> Outcome:
    return perform(gateway, subject, "b", "ann", 600, lambda points: None)


def test_a_ride_is_started_reported_and_ended_by_its_own_tokens() -> None:
    gateway = doors()
    outcome = ride(gateway)
    assert [(name, caller) for name, caller, _, _ in gateway.calls] == [
        ("POST /v1/trips", Caller("rider", "ann")),
        ("POST /v1/bikes/b/positions", Caller("vehicle", "b")),
        ("POST /v1/bikes/b/positions", Caller("vehicle", "b")),
        ("POST /v1/trips/t/end", Caller("rider", "ann")),
    ]
    assert gateway.calls[0][2] == {"bike_id": "b"}
    assert gateway.calls[-1][2] == {"location": {"type": "Point", "coordinates": [5, 6]}}
    assert (outcome.trip_id, outcome.rider_id, outcome.error) == ("t", "ann", None)


def test_positions_are_shifted_into_the_trip_and_repeated_times_are_sent_but_not_expected() -> None:
    gateway = doors()
    outcome = ride(gateway)
    sent = [row for name, _, body, _ in gateway.calls if name.endswith("positions") for row in body["positions"]]
    assert [(row["recorded_at"], row["location"]["coordinates"]) for row in sent] == [
        ("2024-05-01T12:00:00.010001Z", [1, 2]),
        ("2024-05-01T12:00:00.010001Z", [9, 9]),
        ("2024-05-01T12:00:00.020001Z", [3, 4]),
        ("2024-05-01T12:00:01.510001Z", [5, 6]),
    ]
    first = datetime.fromisoformat("2024-05-01T12:00:00.010001Z")
    assert outcome.expected == [
        (first, 1, 2),
        (first + timedelta(milliseconds=10), 3, 4),
        (first + timedelta(milliseconds=1500), 5, 6),
    ]


def test_a_ride_without_points_is_started_and_ended() -> None:
    gateway = doors()
    assert ride(gateway, Ride("r", "924", 0)).expected == []
    assert [name for name, *_ in gateway.calls] == ["POST /v1/trips", "POST /v1/trips/t/end"]


def test_a_bike_that_is_not_yet_free_is_asked_for_again_under_another_key() -> None:
    taken = ApiError("POST /v1/trips", 409, "not available")
    gateway = doors(**{"POST /v1/trips": [taken, taken, {"id": "t", "started_at": STARTED_AT}]})
    assert ride(gateway).error is None
    assert [key for name, _, _, key in gateway.calls if name == "POST /v1/trips"] == ["ann-1", "ann-2", "ann-3"]


def test_a_refusal_is_the_outcome_and_the_trip_is_cancelled() -> None:
    gateway = doors(**{"POST /v1/bikes/b/positions": [ApiError("POST /v1/bikes/b/positions", 403, "no")]})
    outcome = ride(gateway)
    assert outcome.error == "POST /v1/bikes/b/positions: 403 no"
    assert len(outcome.expected) == 3
    assert gateway.calls[-1][:2] == ("POST /v1/trips/t/cancel", OPERATOR)


def test_an_interrupted_ride_is_cancelled() -> None:
    gateway = doors()
    gateway.stop.set()
    with pytest.raises(Stopped):
        ride(gateway)
    assert gateway.calls[-1][0] == "POST /v1/trips/t/cancel"


def test_a_ride_without_a_gateway_tells_so_even_if_it_cannot_be_cancelled() -> None:
    away = Unavailable("away")
    gateway = doors(**{"POST /v1/trips/t/end": [away], "POST /v1/trips/t/cancel": [Unavailable("still away")]})
    with pytest.raises(Unavailable, match=r"^away$"):
        ride(gateway)


def bike(identity: str, name: str, status: str = "available") -> dict[str, Any]:
    return {"id": identity, "name": name, "status": status}


def page(*items: Any) -> dict[str, Any]:
    return {"items": list(items), "next": None}


def test_bikes_already_there_are_used_and_missing_ones_added_where_they_begin() -> None:
    known = bike("b1", "ValleyBike 1")
    gateway = Recorded(
        {
            "GET /v1/bikes": [page(), page(known), page(), page(known, bike("b2", "ValleyBike 2"))],
            "POST /v1/bikes/batch": [{}],
        }
    )
    rides = [Ride("late", "2", 5, [Point(5, 7, 8)]), Ride("early", "2", 1, [Point(1, 3, 4)]), Ride("r", "1", 0)]
    assert prepare(gateway, rides) == {"1": "b1", "2": "b2"}
    (added,) = [body for name, _, body, _ in gateway.calls if name == "POST /v1/bikes/batch"]
    place = {"type": "Point", "coordinates": [3, 4]}
    assert added == {"bikes": [{"name": "ValleyBike 2", "location": place}]}


def test_bikes_added_meanwhile_by_another_are_used() -> None:
    gateway = Recorded(
        {
            "GET /v1/bikes": [page(), page(), page(), page(bike("b1", "ValleyBike 1"))],
            "POST /v1/bikes/batch": [ApiError("POST /v1/bikes/batch", 409, "name")],
        }
    )
    assert prepare(gateway, [Ride("r", "1", 0)]) == {"1": "b1"}


def test_a_bike_of_an_aborted_replay_is_freed() -> None:
    gateway = Recorded(
        {
            "GET /v1/bikes": [page(), page(bike("b1", "ValleyBike 1", "in_use"))],
            "GET /v1/trips": [page({"id": "t"})],
            "POST /v1/trips/t/cancel": [ApiError("POST /v1/trips/t/cancel", 409, "ended")],
            "GET /v1/bikes/b1": [bike("b1", "ValleyBike 1")],
        }
    )
    assert prepare(gateway, [Ride("r", "1", 0)]) == {"1": "b1"}
    assert ("GET /v1/trips", OPERATOR, {"bike_id": "b1", "status": "active", "limit": "500"}, None) in gateway.calls


def test_a_bike_out_of_service_is_put_back() -> None:
    gateway = Recorded(
        {
            "GET /v1/bikes": [page(), page(bike("b1", "ValleyBike 1", "out_of_service"))],
            "PATCH /v1/bikes/b1": [{}],
            "GET /v1/trips": [page()],
            "GET /v1/bikes/b1": [bike("b1", "ValleyBike 1")],
        }
    )
    assert prepare(gateway, [Ride("r", "1", 0)]) == {"1": "b1"}
    assert ("PATCH /v1/bikes/b1", OPERATOR, {"status": "available"}, None) in gateway.calls


def test_the_name_of_a_retired_bike_is_numbered() -> None:
    assert free_name("7", {}) == free_name("7", {"ValleyBike 7": "in_use"}) == "ValleyBike 7"
    assert free_name("7", {"ValleyBike 7": "retired", "ValleyBike 7 (2)": "retired"}) == "ValleyBike 7 (3)"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--rides", "0"], "RIDES must be a whole number from 1 up, not '0'"),
        (["--rides", "many"], "RIDES must be"),
        (["--speed", "0"], "SPEED must be a number over 0, not '0'"),
        (["--speed", "nan"], "SPEED must be"),
        (["--speed", "fast"], "SPEED must be"),
    ],
)
def test_bad_arguments_are_refused(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(argv)
    assert exit_info.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "said"),
    [(["--data", "none.csv.gz"], "none.csv.gz: no such file"), (["--speed", "1e-9"], "the replay would take")],
)
def test_a_replay_that_cannot_be_is_refused(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert said in capsys.readouterr().err
