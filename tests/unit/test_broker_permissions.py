"""What each service may do on the broker, held against the names that the code declares."""

import re
from typing import Any

import pytest
from nameko.events import get_event_exchange
from nameko.extensions import iter_extensions
from nameko.rpc import RPC_QUEUE_TEMPLATE, RPC_REPLY_QUEUE_TEMPLATE, get_rpc_exchange

from bike_service.service import BikeService
from gateway_service.service import GatewayService
from infrastructure.broker_permissions import DEFAULT_EXCHANGE, OPERATOR, USES, permissions
from infrastructure.selection import SERVICES
from shared import moves
from shared.events import DELAYS_S, EventHandler, retry_queue
from shared.listener import Listener
from shared.listener_link import event_exchange, listener_queue, lost_queue
from shared.positions import CONSUMERS, EXCHANGE, MQTT_EXCHANGE, TOPOLOGY
from shared.positions_topology import PositionsTopology
from shared.topology import dead_letter_queue, durable_queue
from trip_service.service import TripService

CLASSES: dict[str, Any] = {each.name: each for each in (BikeService, TripService, GatewayService)}
POSITION_QUEUES = [queue.name for queue in TOPOLOGY]
RPC_EXCHANGE = get_rpc_exchange({}).name
SOMEBODY = "1591716c-34ce-4d86-b7c4-2ca66f42265d"


def may(user: str, right: str, name: str) -> bool:
    """As RabbitMQ matches: anywhere in the name, unless anchored."""
    return re.search(permissions(user).as_dict()[right], name) is not None


def event_queues(service: str) -> list[tuple[str, str]]:
    """(exchange, queue) of every queue that the service's event handlers declare."""
    found = []
    for method in vars(CLASSES[service]).values():
        for entrypoint in getattr(method, "nameko_entrypoints", ()):
            if isinstance(entrypoint, EventHandler):
                source, event_type = entrypoint.source_service, entrypoint.event_type
                exchange = get_event_exchange(source, {})
                queue = durable_queue(f"evt-{source}-{event_type}--{service}.{method.__name__}", exchange, [event_type])
                waiting = [retry_queue(queue, delay).name for delay in DELAYS_S]
                found += [(exchange.name, name) for name in (queue.name, dead_letter_queue(queue).name, *waiting)]
    return found


def listens(service: str) -> bool:
    """Whether each process of the service hears all events and moves."""
    cls = CLASSES[service]
    return any(isinstance(each, Listener) for name in vars(cls) for each in _extensions(getattr(cls, name)))


def test_every_service_has_its_own_user() -> None:
    assert set(USES) == set(SERVICES) == set(CLASSES)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_declare_bind_and_consume_what_its_code_declares(service: str) -> None:
    handled = event_queues(service)
    queues = [*POSITION_QUEUES, *(queue for _, queue in handled)]
    if USES[service].serves:
        queues.append(RPC_QUEUE_TEMPLATE.format(service))
    if USES[service].calls:
        queues.append(RPC_REPLY_QUEUE_TEMPLATE.format(service, SOMEBODY))
    heard = set()
    if USES[service].hears:
        name = listener_queue(service)
        queues += [name, lost_queue(name)]
        heard = {moves.EXCHANGE.name, *(event_exchange(source).name for source in CONSUMERS)}
    for queue in queues:
        assert all(may(service, right, queue) for right in ("configure", "write", "read")), queue
    for exchange in {RPC_EXCHANGE, EXCHANGE.name, *heard, *(source for source, _ in handled)}:
        assert may(service, "configure", exchange), exchange
        assert may(service, "read", exchange), exchange
    for exchange in (RPC_EXCHANGE, DEFAULT_EXCHANGE):
        assert may(service, "write", exchange), exchange


def test_the_uses_are_what_the_code_does() -> None:
    for service, cls in CLASSES.items():
        kinds = {type(each).__name__ for name in vars(cls) for each in _extensions(getattr(cls, name))}
        use = USES[service]
        assert use.serves == ("Rpc" in kinds), service
        assert use.calls == ("RpcProxy" in kinds), service
        assert use.dispatches == ("OutboxRelay" in kinds), service
        assert use.reports == ("Publisher" in kinds), service
        assert use.moves == ("Moves" in kinds), service
        assert set(use.hears) == (set(CONSUMERS) if listens(service) else set()), service
        assert set(use.handles) == {exchange.removesuffix(".events") for exchange, _ in event_queues(service)}, service


def _extensions(attribute: Any) -> list[Any]:
    if hasattr(attribute, "setup"):
        return [attribute, *(each for each in iter_extensions(attribute))]
    return list(getattr(attribute, "nameko_entrypoints", ()))


@pytest.mark.parametrize("service", SERVICES)
def test_nobody_publishes_what_is_another_s_to_say(service: str) -> None:
    for other in SERVICES:
        dispatches = other == service and USES[service].dispatches
        assert may(service, "write", f"{other}.events") == dispatches
        if other != service:
            assert not may(service, "configure", f"rpc-{other}")
            assert not may(service, "read", f"rpc-{other}")
            assert not may(service, "read", listener_queue(other))
            assert not may(service, "read", RPC_REPLY_QUEUE_TEMPLATE.format(other, SOMEBODY))
    assert may(service, "write", EXCHANGE.name) == (service == "gateway_service")
    assert may(service, "write", moves.EXCHANGE.name) == (service == "bike_service")
    assert may("bike_service", "configure", moves.EXCHANGE.name)


def test_every_service_declares_the_queues_of_positions_and_the_gateway_lets_mqtt_through() -> None:
    for name, cls in CLASSES.items():
        assert isinstance(cls.topology, PositionsTopology)
        assert cls.topology.bridges_mqtt == (name == "gateway_service")


@pytest.mark.parametrize("service", SERVICES)
def test_only_who_publishes_positions_lets_those_of_mqtt_through_and_nobody_writes_there(service: str) -> None:
    binds = may(service, "read", MQTT_EXCHANGE.name) and may(service, "write", EXCHANGE.name)
    assert binds == may(service, "read", MQTT_EXCHANGE.name) == USES[service].reports
    assert not may(service, "write", MQTT_EXCHANGE.name)
    assert not may(service, "configure", MQTT_EXCHANGE.name)


@pytest.mark.parametrize("right", ["configure", "write", "read"])
@pytest.mark.parametrize("service", SERVICES)
def test_a_name_is_matched_as_a_whole(service: str, right: str) -> None:
    for name in (
        "amq.topicx",
        "amqxtopic",
        "orders",
        "x-positions",
        "positions-x",
        "bike_service.positions.dead.x",
        "",
        "nameko.rpc",
    ):
        assert not may(service, right, name), name


def test_the_operator_may_do_everything_and_a_stranger_has_no_entry() -> None:
    assert all(
        may(OPERATOR, right, name) for right in ("configure", "write", "read") for name in ("x", *POSITION_QUEUES)
    )
    with pytest.raises(KeyError):
        permissions("guest")
