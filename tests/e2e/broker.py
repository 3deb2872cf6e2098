"""The message broker as an outsider sees it: publish positions, look at dead letters, listen to events."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from amqp.exceptions import NotFound
from kombu import Connection, Producer, Queue
from kombu.message import Message

from tests.e2e.client import Json, eventually

DEAD_QUEUES = ("bike_service.positions.dead", "trip_service.positions.dead")


@dataclass
class Letter:
    """A message as it lies in a queue."""

    body: bytes
    headers: Json

    def json(self) -> Any:
        return json.loads(self.body)

    def has_header_value(self, value: str) -> bool:
        return any(str(found) == value for found in self.headers.values())


def letter(message: Message) -> Letter:
    body = message.body
    return Letter(body if isinstance(body, bytes) else str(body).encode(), dict(message.headers))


class EventLog:
    """What one service has published since the log was opened."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.letters: list[Letter] = []

    def _drain(self) -> None:
        while (message := self._queue.get(no_ack=True)) is not None:
            self.letters.append(letter(message))

    def of(self, subject_id: str) -> list[Json]:
        """The events of one bike or trip by revision; a repeated event (same id) counts once."""
        self._drain()
        events = {event["id"]: event for event in (found.json() for found in self.letters)}
        mine = [event for event in events.values() if event["data"]["id"] == subject_id]
        return sorted(mine, key=lambda event: event["data"]["revision"])

    def wait(self, subject_id: str, event_type: str, count: int = 1) -> list[Json]:
        """All events of a bike or trip, once `count` of this type have arrived."""

        def enough() -> list[Json]:
            events = self.of(subject_id)
            assert [event["type"] for event in events].count(event_type) >= count, events
            return events

        return eventually(enough)

    def headers_of(self, event_id: str) -> Json:
        return next(found.headers for found in self.letters if found.json()["id"] == event_id)


class Broker:
    def __init__(self, uri: str) -> None:
        self.uri = uri

    def publish(self, body: Any, routing_key: str, **properties: Any) -> None:
        """Publish to the exchange `positions`; back when the broker has confirmed it. Bytes go as they are."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        with Connection(self.uri, transport_options={"confirm_publish": True}) as connection:
            Producer(connection).publish(
                raw,
                exchange="positions",
                routing_key=routing_key,
                content_type="application/json",
                content_encoding="utf-8",
                delivery_mode=2,
                mandatory=True,
                retry=False,
                **properties,
            )

    def letters(self, queue: str, marker: str) -> list[Letter]:
        """The messages of a queue that mention the marker; all of them stay in the queue."""
        found = []
        with Connection(self.uri) as connection:
            bound = Queue(queue, no_declare=True).bind(connection.channel())
            try:
                # unacknowledged, they return to the queue when the connection closes
                while (message := bound.get(no_ack=False)) is not None:
                    found.append(letter(message))
            except NotFound:
                # nothing says that a dead queue exists before it has its first letter
                return []
        return [one for one in found if marker.encode() in one.body]

    def wait_dead(self, queue: str, marker: str) -> Letter:
        """The first dead letter that mentions the marker."""
        return eventually(lambda: self.letters(queue, marker), interval=0.1)[0]

    @contextmanager
    def events(self, service: str) -> Iterator[EventLog]:
        """Listen to all events of a service, through a queue that goes away with the connection."""
        with Connection(self.uri) as connection:
            queue = Queue("", exclusive=True, auto_delete=True).bind(connection.channel())
            queue.queue_declare()
            queue.bind_to(f"{service}.events", routing_key="#")
            yield EventLog(queue)
