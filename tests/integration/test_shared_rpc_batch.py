"""Calls that travel together: each its own answer, error and deadline, however many there are."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import eventlet
import pytest
from eventlet.event import Event
from nameko.containers import ServiceContainer, WorkerContext
from nameko.exceptions import RemoteError
from nameko.testing.utils import DummyProvider

from shared.errors import DeadlineExceeded, Invalid, NotFound, Unavailable
from shared.log import WorkerLog
from shared.rpc import rpc
from shared.rpc_batch import BatchProxy, rpc_many
from shared.rpc_proxy import RpcProxy
from shared.validation import load_calls
from tests.integration import builders
from tests.waiting import eventually

Json = dict[str, Any]
batches: list[list[Json]] = []
gate: list[Event] = []


class Callee:
    name = "many"

    log = WorkerLog()

    @rpc_many
    def double(self, calls: Any) -> list[Any]:
        batches.append(calls)
        if gate and not gate[0].ready():
            gate[0].wait()
        return [
            NotFound("None.", {"errors": {"n": ["odd"]}}) if call["n"] % 7 == 0 else 2 * call["n"] for call in calls
        ]

    @rpc_many
    def forget(self, calls: Any) -> list[Any]:
        return calls[1:]

    @rpc_many
    def nothing(self, calls: Any) -> None:
        return None

    @rpc
    def one(self) -> str:
        return "one"


class Caller:
    name = "of_many"

    double = BatchProxy("many", "double", max_calls=20)
    text = BatchProxy("many", "double", passes_on=True)
    forget = BatchProxy("many", "forget")
    forget_text = BatchProxy("many", "forget", passes_on=True)
    nothing = BatchProxy("many", "nothing")
    absent = BatchProxy("nobody", "double")
    plain = RpcProxy("many")


@pytest.fixture(scope="module")
def caller(amqp_uri: str) -> Iterator[ServiceContainer]:
    with builders.running(Callee, amqp_uri, max_workers=1), builders.running(Caller, amqp_uri) as container:
        yield container


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    batches.clear()
    gate.clear()
    yield
    if gate and not gate[0].ready():
        gate[0].send()


@pytest.fixture
def call(caller: ServiceContainer) -> Callable[..., Any]:
    def one(name: str, timeout: float = 10, data: Json | None = None, **arguments: Any) -> Any:
        provider = next(each for each in caller.dependencies if each.attr_name == name)
        context = WorkerContext(caller, None, DummyProvider("test"), data=data or {})
        return provider.get_dependency(context)(timeout, **arguments)

    return one


def outcome(call: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
    try:
        return call(*arguments, **more)
    except Exception as error:
        return error


def test_alone_a_call_is_answered_like_any_other(call: Callable[..., Any]) -> None:
    assert call("double", n=4) == 8
    assert batches == [[{"n": 4}]]
    with pytest.raises(NotFound) as caught:
        call("double", n=7)
    assert caught.value.errors == {"n": ["odd"]}


def test_calls_at_once_travel_together_and_each_has_its_own_outcome(call: Callable[..., Any]) -> None:
    pool = eventlet.GreenPool(100)
    found = list(pool.imap(lambda n: outcome(call, "double", n=n), range(1, 101)))
    for n, answer in enumerate(found, 1):
        if n % 7 == 0:
            assert isinstance(answer, NotFound)
        else:
            assert answer == 2 * n
    assert sum(map(len, batches)) == 100
    assert max(map(len, batches)) == 20
    assert len(batches) <= 10


def test_who_only_hands_results_on_gets_their_text_and_errors_as_ever(call: Callable[..., Any]) -> None:
    assert bytes(call("text", n=4)) == b"8"
    with pytest.raises(NotFound) as caught:
        call("text", n=7)
    assert caught.value.errors == {"n": ["odd"]}
    assert isinstance(outcome(call, "text", n="x"), RemoteError)
    assert isinstance(outcome(call, "forget_text", n=1), TypeError)


def test_a_call_that_has_given_up_is_not_made(call: Callable[..., Any]) -> None:
    gate.append(Event())
    first = [eventlet.spawn(outcome, call, "double", n=n) for n in (1, 2)]
    eventually(lambda: batches)
    impatient = eventlet.spawn(outcome, call, "double", 0.2, n=3)
    patient = eventlet.spawn(outcome, call, "double", n=4)
    began = time.monotonic()
    assert isinstance(impatient.wait(), DeadlineExceeded)
    assert time.monotonic() - began < 2
    gate[0].send()
    assert [each.wait() for each in [*first, patient]] == [2, 4, 8]
    assert {"n": 3} not in [call for batch in batches[1:] for call in batch] or len(batches) == 1


def test_a_call_whose_deadline_passed_on_the_way_is_not_handed_over(call: Callable[..., Any], amqp_uri: str) -> None:
    with builders.calling(amqp_uri) as stock:
        stock._worker_ctx.data["deadlines"] = [time.time() - 1, time.time() + 60]
        answers = stock.many.double([{"n": 1}, {"n": 2}])
    assert batches == [[{"n": 2}]]
    assert answers[1] == {"result": 4, "error": None}
    assert answers[0]["error"]["exc_type"] == "DeadlineExceeded"


def test_the_deadline_of_the_work_bounds_its_call(call: Callable[..., Any]) -> None:
    gate.append(Event())
    began = time.monotonic()
    assert isinstance(outcome(call, "double", data={"deadline": time.time() + 0.2}, n=1), DeadlineExceeded)
    assert time.monotonic() - began < 2
    assert isinstance(outcome(call, "double", data={"deadline": time.time() - 1}, n=1), DeadlineExceeded)


def test_what_fails_the_message_fails_its_calls(call: Callable[..., Any]) -> None:
    pool = eventlet.GreenPool(30)
    absent = list(pool.imap(lambda n: outcome(call, "absent", n=n), range(30)))
    assert {type(each) for each in absent} == {Unavailable}
    defects = list(pool.imap(lambda n: outcome(call, "double", wrong=n), range(3)))
    assert {type(each) for each in defects} == {RemoteError}
    assert call("double", n=1) == 2


@pytest.mark.parametrize("method", ["forget", "nothing"])
def test_a_method_that_does_not_answer_each_call_is_a_defect_and_nobody_gets_anothers_answer(
    call: Callable[..., Any], method: str
) -> None:
    answers = [eventlet.spawn(outcome, call, method, n=n) for n in range(3)]
    for each in answers:
        assert isinstance(each.wait(), TypeError | RemoteError)
    assert call("double", n=1) == 2


def test_a_stock_client_gets_a_list_of_outcomes(amqp_uri: str, caller: ServiceContainer) -> None:
    with builders.calling(amqp_uri) as stock:
        found = stock.many.double([{"n": 1}, {"n": 7}])
        assert found[0] == {"result": 2, "error": None}
        assert found[1]["error"]["exc_type"] == "NotFound"
        assert stock.many.double([]) == []
        assert stock.many.one() == "one"


def test_the_log_has_the_ids_of_all_requests(call: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    gate.append(Event())
    with caplog.at_level(logging.INFO, "calls"):
        ids = [f"request-{n}" for n in range(5)]
        calls = [eventlet.spawn(call, "double", data={"request_id": each}, n=1) for each in ids]
        eventually(lambda: batches)
        gate[0].send()
        assert [each.wait() for each in calls] == [2] * 5
        lines = [record for record in caplog.records if record.name == "calls" and "double" in record.message]
    assert sorted(each for line in lines for each in line.request_ids) == ids  # type: ignore[attr-defined]


@pytest.mark.parametrize("calls", [None, "x", {}, [1], [[]], [{}] * 1001])
def test_calls_are_a_bounded_list_of_objects(calls: Any) -> None:
    from bike_service.schemas import BikeIdSchema

    with pytest.raises(Invalid):
        load_calls(BikeIdSchema(), calls)
    good, bad = load_calls(BikeIdSchema(), [{"bike_id": builders.new_id()}, {"bike_id": "x", "more": 1}])
    assert not isinstance(good, Invalid)
    assert isinstance(bad, Invalid)
    assert set(bad.errors) == {"bike_id", "more"}
