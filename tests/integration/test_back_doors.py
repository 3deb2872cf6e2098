"""RPC and events are no back door: what comes that way is judged as strictly as what comes by HTTP."""

import inspect
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import eventlet
import pytest
from kombu import Exchange, Queue
from nameko.exceptions import IncorrectSignature, deserialize
from nameko.extensions import ENTRYPOINT_EXTENSIONS_ATTR

from bike_service.service import BikeService
from shared.errors import Invalid, Unavailable
from shared.rpc import Rpc
from shared.rpc_proxy import RpcProxy
from tests.integration import builders
from tests.integration.broker import Broker
from tests.integration.builders import ago, new_id, point, position
from tests.waiting import eventually
from trip_service.service import TripService

ENDED = "evt-trip_service-trip_ended--bike_service.on_trip_ended"
CANCELLED = "evt-trip_service-trip_cancelled--bike_service.on_trip_cancelled"
BERN = (7.45, 46.95)


@pytest.fixture(scope="module")
def services(amqp_uri: str, bike_database_url: str, trip_database_url: str) -> Iterator[Any]:
    with builders.both_services(amqp_uri, bike_database_url, trip_database_url) as proxy:
        yield proxy


@pytest.fixture
def broker(amqp_uri: str, services: Any) -> Iterator[Broker]:
    outsider = Broker(amqp_uri)
    yield outsider
    outsider.close()


# Never right, for no parameter of any method.
JUNK: dict[str, Any] = {
    "a boolean": True,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "400 digits": 10**400,
    "nearly infinity": 1e308,
    "a huge text": "x" * 100_000,
    "a NUL": "a\0b",
    "half a surrogate pair": "a\ud800",
    "no text": "",
    "a list": [1],
    "nested lists": [[[[1]]]],
    "an unknown member": {"x": 1},
    "a member of another kind": {"role": ["operator"], "name": 1, "type": "Point"},
    "many members": {f"n{number}": number for number in range(200)},
}
# By parameter: what else is wrong for it.
OTHER_KINDS: dict[str, list[Any]] = {
    "bike_id": ["no uuid", "7f1e0b440c1a4c539d3b2f0a0a7a0002", "{7f1e0b44-0c1a-4c53-9d3b-2f0a0a7a0002}", 7, "' OR 1=1"],
    "trip_id": ["no uuid", "7f1e0b440c1a4c539d3b2f0a0a7a0002", 7],
    "rider_id": [7, "x" * 256],
    "subject": [7, "x" * 256],
    "idempotency_key": [7, "x" * 256, "a\nb"],
    "bike": [{"id": "no uuid"}, {"id": new_id(), "status": "in_use"}, {"name": "a\0"}, {"battery_percent": "5"}],
    "bikes": [[], {}, [{"x": 1}], [{"location": point((200, 0))}], [{}] * 1001],
    "changes": [{"status": "in_use"}, {"trip_id": new_id()}, {"location": point(BERN)}],
    "viewer": [
        "operator",
        {"role": "root"},
        {"role": "operator", "is_admin": True},
        {"sub": 5},
        {"role": "rider", "sub": "a\0"},
    ],
    "location": [{"type": "Point", "coordinates": ["1", "2"]}, {"type": "Polygon", "coordinates": [1, 2]}, [1, 2]],
    "status": ["void", "deleted", 1],
    "bbox": ["1,2,3,4", [1, 2, 3], [0, 50, 1, 40], [float("nan")] * 4, ["0", "0", "1", "1"]],
    "limit": [-1, 0, 501, 10**10, "5", 1.5],
    "cursor": ["garbage", 5, "eyJhIjogMX0="],
    "lat": [91, "5"],
    "lon": [181, "5"],
    "radius": [-1, 50_001, "5"],
    "started_after": ["yesterday", "2026-01-01", 5, "9999-99-99T00:00:00Z"],
    "started_before": ["2026-01-01T00:00:00"],
    "older_than_s": [-1, "5"],
    "after": ["no uuid", 7],
    "rows": [-1, 0, 20_001, "5", 1.5],
    "bike_ids": ["no list", [], ["no uuid"], [7], [new_id()] * 20_001],
    "calls": ["no list", [None], [{}, 1], [{}] * 1001],
}
VALID: dict[str, Any] = {
    "bike_id": new_id(),
    "bike_ids": [new_id()],
    "trip_id": new_id(),
    "rider_id": "ann",
    "bike": {},
    "bikes": [{}],
    "changes": {},
    "lat": 0,
    "lon": 0,
}
METHODS = [
    (service.name, name, list(inspect.signature(getattr(service, name)).parameters)[1:])
    for service in (BikeService, TripService)
    for name in dir(service)
    if any(isinstance(each, Rpc) for each in getattr(getattr(service, name), ENTRYPOINT_EXTENSIONS_ATTR, ()))
]
PARAMETERS = [(service, method, parameter) for service, method, names in METHODS for parameter in names]


def valid_for(service: str, method: str) -> dict[str, Any]:
    names = next(names for each, name, names in METHODS if (each, name) == (service, method))
    return {name: VALID[name] for name in names if name in VALID}


@pytest.mark.parametrize(("service", "method", "parameter"), PARAMETERS)
def test_no_argument_of_a_call_is_taken_unseen(services: Any, service: str, method: str, parameter: str) -> None:
    call = getattr(services[service], method)
    for name, value in {**JUNK, **{repr(each)[:40]: each for each in OTHER_KINDS[parameter]}}.items():
        with pytest.raises(Invalid) as refused:
            call(**{**valid_for(service, method), parameter: value})
        assert any(field.split(".")[0] == parameter for field in refused.value.errors), (
            f"{name}: {refused.value.errors}"
        )


TOGETHER = {(service, method.removesuffix("_many")) for service, method, names in METHODS if names == ["calls"]}


@pytest.mark.parametrize(("service", "method", "parameter"), [each for each in PARAMETERS if each[:2] in TOGETHER])
def test_no_argument_of_a_call_among_others_is_taken_unseen(
    services: Any, service: str, method: str, parameter: str
) -> None:
    valid, wrong = valid_for(service, method), [*JUNK.values(), *OTHER_KINDS[parameter]]
    calls = [{**valid, parameter: value} for value in wrong] + [{**valid, "is_admin": True}]
    *outcomes, unknown = getattr(services[service], f"{method}_many")(calls)
    for value, outcome in zip(wrong, outcomes, strict=True):
        refused = deserialize(outcome["error"])
        assert isinstance(refused, Invalid), value
        assert any(field.split(".")[0] == parameter for field in refused.errors), (value, refused.errors)
    assert deserialize(unknown["error"]).errors.keys() == {"is_admin"}


@pytest.mark.parametrize(("service", "method"), [(service, method) for service, method, _ in METHODS])
def test_arguments_that_no_method_has_are_refused(services: Any, service: str, method: str) -> None:
    with pytest.raises(IncorrectSignature):
        getattr(services[service], method)(**valid_for(service, method), is_admin=True)
    with pytest.raises(IncorrectSignature):
        getattr(services[service], method)(*[None] * 20)


class Trap:
    """Unpickled, it leaves a mark; nothing that decodes a message may ever make one."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """Not there, unless a trap has sprung; that it would is tried here."""
    tried = tmp_path / "tried"
    pickle.loads(pickle.dumps(Trap(tried)))  # noqa: S301 - its own
    assert tried.exists()
    return tmp_path / "sprung"


YAML = b"!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['%s']]"
CODED = {
    "pickle": ("application/x-python-serialize", "binary"),
    "pickle named as data": ("application/data", "binary"),
    "pickle in a text": ("application/x-python-serialize", "utf-8"),
    "yaml": ("application/x-yaml", "utf-8"),
    "msgpack": ("application/x-msgpack", "binary"),
    "nothing": ("", ""),
    "json, it says": ("application/json", "utf-8"),
}


def coded(mark: Path, kind: str) -> tuple[bytes, dict[str, str]]:
    content_type, encoding = CODED[kind]
    body = YAML % str(mark).encode() if kind == "yaml" else pickle.dumps(Trap(mark))
    return body, {"content_type": content_type, "content_encoding": encoding}


@pytest.mark.parametrize("kind", CODED)
def test_no_consumer_decodes_anything_but_json(services: Any, broker: Broker, mark: Path, kind: str) -> None:
    body, properties = coded(mark, kind)
    bike_id = services.bike_service.add()["id"]
    for service in (BikeService.name, TripService.name):
        broker.publish("nameko-rpc", f"{service}.health", body, reply_to=new_id(), **properties)
    broker.publish("trip_service.events", "trip_ended", body, **properties)
    broker.publish("trip_service.events", "trip_cancelled", body, **properties)
    broker.publish("positions", "fleet.position", body, **properties)
    for queue in (ENDED, CANCELLED, "bike_service.positions", "trip_service.positions"):
        reason, kept = broker.dead_letter(queue)
        # Without a codec of its name a body stays the bytes that it is, and those are no event.
        assert (reason, kept) in (("unreadable", body), ("invalid", body))
    broker.report(position(bike_id, ago(1), BERN))
    eventually(lambda: services.bike_service.get(bike_id)["location"] == point(BERN))
    assert services.bike_service.health() == services.trip_service.health() == {"status": "ok"}
    assert not mark.exists()


class Caller:
    """Calls a service that the test stands for."""

    name = "caller"
    impostor = RpcProxy("impostor")


@pytest.fixture
def impostor(broker: Broker) -> str:
    """A queue of the calls of a service that is not there."""
    exchange = Exchange("nameko-rpc", type="topic", durable=True)
    queue = Queue("rpc-impostor", exchange, routing_key="impostor.*", expires=600)
    queue(broker.connection.default_channel).declare()
    return queue.name


def answer(broker: Broker, queue: str, body: bytes, properties: dict[str, str]) -> None:
    """Reply to the next call in `queue`."""
    call: Any = eventually(lambda: broker.take(queue))
    correlation_id, reply_to = (call.properties[name] for name in ("correlation_id", "reply_to"))
    broker.publish("", reply_to, body, correlation_id=correlation_id, **properties)


@pytest.mark.parametrize("kind", [*CODED, "no object"])
def test_a_reply_that_is_no_json_is_no_answer(
    amqp_uri: str, broker: Broker, impostor: str, mark: Path, kind: str
) -> None:
    json_of: dict[str, str] = {"content_type": "application/json", "content_encoding": "utf-8"}
    body, properties = (b"[1]", json_of) if kind == "no object" else coded(mark, kind)
    with builders.running(Caller, amqp_uri) as container:
        proxy = builders.proxy_within(container)
        call = eventlet.spawn(proxy.health)
        answer(broker, impostor, body, properties)
        with pytest.raises(Unavailable, match="no JSON object"):
            call.wait()
        # The next reply is read as ever.
        call = eventlet.spawn(proxy.health)
        answer(broker, impostor, b'{"result": "well", "error": null}', json_of)
        assert call.wait() == "well"
    assert not mark.exists()


BAD_EVENTS: dict[str, Any] = {
    "no object": [1],
    "a text": "x",
    "null": None,
    "no id": {"id": None},
    "an id that is none": {"id": "no uuid"},
    "an id of another kind": {"id": [new_id()]},
    "data of another kind": {"data": [1]},
    "no data": {"data": None},
    "a trip without an id": {"data": {"bike_id": new_id()}},
    "a bike that is none": {"data": {"id": new_id(), "bike_id": "a\0b"}},
    "half a surrogate pair": {"data": {"id": new_id(), "bike_id": "\ud800"}},
    "a number": {"data": {"id": 1, "bike_id": float("nan")}},
}


@pytest.mark.parametrize("change", BAD_EVENTS.values(), ids=BAD_EVENTS)
def test_a_bad_event_frees_no_bike_and_ends_in_the_dead_letters(services: Any, broker: Broker, change: Any) -> None:
    bike_id, trip_id = services.bike_service.add()["id"], new_id()
    services.bike_service.check_out(bike_id, trip_id, "ann")
    payload: Any = {"id": new_id(), "type": "trip_ended", "occurred_at": "2026-05-01T12:00:00Z", "version": 1}
    payload["data"] = {"id": trip_id, "bike_id": bike_id}
    broken = {**payload, **change} if isinstance(change, dict) else change
    broker.publish("trip_service.events", "trip_ended", json.dumps(broken).encode())
    reason, body = broker.dead_letter(ENDED)
    assert reason in ("invalid", "unreadable")
    assert body == json.dumps(broken).encode()
    assert services.bike_service.get(bike_id)["status"] == "in_use"
