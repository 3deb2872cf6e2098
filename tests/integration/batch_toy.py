"""What the toy service of the batch tests does."""

import sqlalchemy.exc
from eventlet.event import Event
from kombu import Exchange

from shared.batch import DeadLetter, Delivery
from tests.conftest import unique_name

EXCHANGE = Exchange("batches", type="topic", durable=True)


class Handled:
    """What the toy's method did and is told to do."""

    def __init__(self) -> None:
        self.queue = unique_name("batches")
        self.calls: list[list[str]] = []
        self.deliveries: list[Delivery] = []
        self.done: list[str] = []
        self.outages = 0
        self.gate = Event()
        self.gate.send()

    def __call__(self, deliveries: list[Delivery]) -> list[DeadLetter]:
        bodies = [delivery.body.decode() for delivery in deliveries]
        self.calls.append(bodies)
        self.deliveries += deliveries
        self.gate.wait()
        if self.outages:
            self.outages -= 1
            raise sqlalchemy.exc.OperationalError("SELECT", {}, Exception("the server is starting up"))
        if "poison" in bodies:
            raise ValueError("poison")
        self.done += bodies
        return [DeadLetter(d, d.body.upper(), "too_bad", "A detail.") for d in deliveries if d.body == b"bad"]

    def hold(self) -> None:
        self.gate = Event()

    def release(self) -> None:
        if not self.gate.ready():
            self.gate.send()
