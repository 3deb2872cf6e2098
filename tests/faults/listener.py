"""A listener of the tests' own for every event: a durable queue that is there before anything happens."""

import json
from collections import Counter
from typing import Any

from kombu import Connection, Exchange, Queue

Json = dict[str, Any]
QUEUE = "faults.listener"
PUBLISHERS = ("bike_service", "trip_service")


class Listener:
    """`events` by id, as first seen; `deliveries` counts each id; `contradictions` are ids seen with other data."""

    def __init__(self, amqp_uri: str) -> None:
        self.amqp_uri = amqp_uri
        self.events: dict[str, Json] = {}
        self.deliveries: Counter[str] = Counter()
        self.contradictions: set[str] = set()
        self._ignored: set[str] = set()

    def declare(self) -> None:
        with Connection(self.amqp_uri) as connection, connection.channel() as channel:
            queue = Queue(QUEUE, durable=True, queue_arguments={"x-queue-type": "quorum"})(channel)
            queue.declare()
            for publisher in PUBLISHERS:
                Exchange(f"{publisher}.events", type="topic", durable=True)(channel).declare()
                queue.bind_to(f"{publisher}.events", routing_key="#")

    def collect(self) -> None:
        """Take all that has come."""
        with Connection(self.amqp_uri, connect_timeout=5) as connection, connection.channel() as channel:
            waiting = channel.queue_declare(QUEUE, passive=True).message_count
            taken: list[Json] = []

            def take(message: Any) -> None:
                taken.append(json.loads(message.body))
                # At once: a quorum queue lets only so many wait for it.
                channel.basic_ack(message.delivery_tag)

            if waiting:
                channel.basic_consume(QUEUE, callback=take)
            while len(taken) < waiting:
                connection.drain_events(timeout=10)
        for event in taken:
            self._take(event)

    def of(self, subject_id: str) -> list[Json]:
        """The events about one bike or trip, by revision."""
        return self.by_subject().get(subject_id, [])

    def by_subject(self) -> dict[str, list[Json]]:
        found: dict[str, list[Json]] = {}
        for event in self.events.values():
            found.setdefault(event["data"]["id"], []).append(event)
        for events in found.values():
            events.sort(key=lambda event: event["data"]["revision"])
        return found

    def forget(self, *subject_ids: str) -> None:
        """Let the events about these bikes or trips, those that are still to come included, never have been."""
        self._ignored.update(subject_ids)
        about = [event_id for event_id, event in self.events.items() if event["data"]["id"] in subject_ids]
        for event_id in about:
            del self.events[event_id], self.deliveries[event_id]
            self.contradictions.discard(event_id)

    @property
    def duplicates(self) -> int:
        return self.deliveries.total() - len(self.deliveries)

    def _take(self, event: Json) -> None:
        if event["data"]["id"] in self._ignored:
            return
        self.deliveries[event["id"]] += 1
        if self.events.setdefault(event["id"], event) != event:
            self.contradictions.add(event["id"])
