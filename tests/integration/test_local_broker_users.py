"""On the private broker each service has a user of its own, who may do what the service does and no more."""

import pytest
from amqp.exceptions import AccessRefused
from kombu import Connection, Exchange, Producer, Queue

from infrastructure.broker_permissions import permissions
from infrastructure.selection import SERVICES
from shared.positions import TOPOLOGY
from shared.positions_topology import bridge_mqtt
from shared.topology import declare
from tests.conftest import PrivateParts

FORBIDDEN = {
    "gateway_service": ["rpc-bike_service", "evt-trip_service-trip_ended--bike_service.on_trip_ended", "mine"],
    "bike_service": ["rpc-trip_service", "mine"],
    "trip_service": ["rpc-bike_service", "evt-trip_service-trip_ended--bike_service.on_trip_ended", "mine"],
}


@pytest.fixture(scope="module")
def urls(private_parts: PrivateParts) -> dict[str, str]:
    broker = private_parts.rabbitmq
    for name in SERVICES:
        assert broker.add_user(name, permissions(name).as_dict())
        assert broker.add_user(name, permissions(name).as_dict()), "again, as at every start"
    return {**{name: broker.user_url(name) for name in SERVICES}, "operator": broker.url}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_declares_what_positions_need_and_no_queue_of_anothers(service: str, urls: dict[str, str]) -> None:
    with Connection(urls[service]) as connection:
        declare(connection, TOPOLOGY)
        for name in FORBIDDEN[service]:
            with connection.channel() as channel, pytest.raises(AccessRefused):
                Queue(name)(channel).declare()


def test_the_gateway_lets_positions_of_mqtt_through_and_another_service_may_not(urls: dict[str, str]) -> None:
    with Connection(urls["operator"], transport_options={"confirm_publish": True}) as connection:
        declare(connection, TOPOLOGY)
        producer = Producer(connection)
        queue = Queue("bike_service.positions", no_declare=True)(connection.channel())
        with Connection(urls["bike_service"]) as other:
            bridge_mqtt(other)
        producer.publish({}, exchange="amq.topic", routing_key="bike.x.position")
        assert queue.get(no_ack=True) is None
        with Connection(urls["gateway_service"]) as gateway:
            bridge_mqtt(gateway)
            bridge_mqtt(gateway)
        for key in ("bike.x.positions", "bike.x.y.position", "fleet.position", "bike.x.position"):
            producer.publish({}, exchange="amq.topic", routing_key=key)
        got = queue.get(no_ack=True)
        assert got is not None
        assert got.delivery_info["routing_key"] == "bike.x.position"
        assert queue.get(no_ack=True) is None


def test_a_service_publishes_no_events_of_anothers(urls: dict[str, str]) -> None:
    def publish(service: str) -> None:
        with Connection(urls[service], transport_options={"confirm_publish": True}) as connection:
            Producer(connection).publish({}, exchange="trip_service.events", routing_key="trip_ended", retry=False)

    with Connection(urls["trip_service"]) as connection:
        Exchange("trip_service.events", "topic", durable=True)(connection.channel()).declare()
    publish("trip_service")
    with pytest.raises(AccessRefused):
        publish("gateway_service")
