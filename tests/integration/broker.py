"""The broker as an outsider uses it: publishes, watches, and looks into queues."""

import json
import uuid
from typing import Any

import amqp
from kombu import Connection, Exchange, Queue
from kombu.message import Message

from shared import dead_letters
from shared.positions import FLEET_KEY
from tests.waiting import eventually

Json = dict[str, Any]


class Broker:
    """One connection; what is published is confirmed when the call returns."""

    def __init__(self, amqp_uri: str) -> None:
        self.connection = Connection(amqp_uri, transport_options={"confirm_publish": True})
        self.producer = self.connection.Producer()

    def close(self) -> None:
        self.connection.close()

    def publish(self, exchange: str, routing_key: str, body: Any, **properties: Any) -> None:
        """Publish bytes as they are, anything else as JSON; persistent."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        options = {"content_type": "application/json", "content_encoding": "utf-8", **properties}
        self.producer.publish(raw, exchange=exchange, routing_key=routing_key, delivery_mode=2, **options)

    def report(self, *positions: Json, routing_key: str = FLEET_KEY, **properties: Any) -> None:
        """Publish one message of positions."""
        self.publish("positions", routing_key, {"positions": positions}, **properties)

    def tell_moves(self, *moves: Json) -> None:
        """Publish where bikes have moved to, as bike_service would."""
        self.publish("bike_service.moves", "", moves)

    def event(self, service: str, event_type: str, data: Json, **envelope: Any) -> Json:
        """Publish an event as `service` would; returns its payload."""
        payload = {
            "id": str(uuid.uuid4()),
            "type": event_type,
            "occurred_at": "2026-05-01T12:00:00Z",
            "version": 1,
            "data": data,
            **envelope,
        }
        self.publish(f"{service}.events", event_type, payload)
        return payload

    def take(self, queue: str) -> Message | None:
        """The next message of a queue, taken off it."""
        bound: Queue = Queue(queue, no_declare=True)(self.connection.default_channel)
        return bound.get(no_ack=True)

    def dead_letter(self, queue: str) -> tuple[str, bytes]:
        """Reason and body of the next dead letter of `queue`, once it is there."""
        # As it is: kombu would decode, and decompress, what is in there for being neither.
        channel = self.connection.default_channel
        setattr(channel, "auto_decode", False)  # noqa: B010 - which its type does not tell of
        message = eventually(lambda: amqp.Channel.basic_get(channel, f"{queue}.dead", no_ack=True))
        return message.properties["application_headers"][dead_letters.REASON], bytes(message.body or b"")

    def dead_positions(self, queue: str) -> tuple[str, list[Json]]:
        """Reason and positions of the next dead letter."""
        reason, body = self.dead_letter(queue)
        return reason, json.loads(body)["positions"]


class EventLog:
    """Every event of a service from now on."""

    def __init__(self, broker: Broker, service: str) -> None:
        self.broker = broker
        self.name = f"watch-{uuid.uuid4()}"
        exchange = Exchange(f"{service}.events", type="topic", durable=True)
        Queue(self.name, exchange, routing_key="#", auto_delete=True, expires=600)(
            broker.connection.default_channel
        ).declare()
        self.seen: list[Json] = []

    def of(self, subject_id: str) -> list[Json]:
        """The events about one bike or trip that have come, by revision."""
        while (message := self.broker.take(self.name)) is not None:
            self.seen.append(json.loads(message.body))
        about = [event for event in self.seen if event["data"]["id"] == subject_id]
        return sorted(about, key=lambda event: event["data"]["revision"])

    def wait_for(self, subject_id: str, *types: str) -> list[Json]:
        """The events about one bike or trip, once they are just those of `types`, in the order of revisions."""
        eventually(lambda: [event["type"] for event in self.of(subject_id)] == list(types))
        return self.of(subject_id)
