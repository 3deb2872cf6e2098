"""Positions on the broker: the topology, the schema of a position, and how a message of them is judged.

Whoever publishes, a message lands in two durable queues, one per consuming service; gateway and services alike
declare all of it at start, so that an accepted position always has a queue to wait in.
"""

import re
from datetime import datetime, timedelta

from kombu import Exchange, Queue

from shared.fields import GeoPoint, Number, UTCDateTime, UUIDText
from shared.topology import dead_letter_queue, durable_queue
from shared.validation import StrictSchema

EXCHANGE = Exchange("positions", type="topic", durable=True)
# Where RabbitMQ puts what comes over MQTT; every virtual host has it. `bike/<id>/position` becomes a key of BIKE_KEYS.
MQTT_EXCHANGE = Exchange("amq.topic", type="topic", durable=True, no_declare=True)
MQTT_QOS = "x-mqtt-publish-qos"
FLEET_KEY = "fleet.position"
BIKE_KEYS = "bike.*.position"
BIKE_KEY = re.compile(r"bike\.([^.]+)\.position")
CONSUMERS = ("bike_service", "trip_service")

MAX_AGE = timedelta(days=30)
MAX_AHEAD = timedelta(minutes=5)
MAX_POSITIONS_PER_BIKE = 1000
MAX_POSITIONS = 10_000


def bike_key(bike_id: str) -> str:
    """The routing key of a message about one bike."""
    return f"bike.{bike_id}.position"


def queue_of(service: str) -> Queue:
    """The durable queue through which `service` consumes positions."""
    return durable_queue(f"{service}.positions", EXCHANGE, [BIKE_KEYS, FLEET_KEY])


QUEUES = [queue_of(service) for service in CONSUMERS]
TOPOLOGY = [*QUEUES, *(dead_letter_queue(queue) for queue in QUEUES)]


class PositionSchema(StrictSchema):
    """One position of a bike that is known from elsewhere (the path, the token)."""

    recorded_at = UTCDateTime(required=True)
    location = GeoPoint(required=True)
    battery_percent = Number(minimum=0, maximum=100, allow_none=True)
    speed_mps = Number(minimum=0, allow_none=True)
    accuracy_m = Number(minimum=0, allow_none=True)


class FleetPositionSchema(PositionSchema):
    """One position of the bike that it names."""

    bike_id = UUIDText(required=True)


def age_problem(recorded_at: datetime, accepted_at: datetime) -> str | None:
    """Why a position of `recorded_at` is refused at `accepted_at`, or None."""
    if recorded_at < accepted_at - MAX_AGE:
        return "Older than 30 days."
    if recorded_at > accepted_at + MAX_AHEAD:
        return "More than 5 minutes in the future."
    return None
