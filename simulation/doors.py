"""The ways into the company, counted: HTTP, and MQTT where it is asked for."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from replay.client import Gateway
from replay.connection import Connection
from simulation.mqtt import MqttBikes
from simulation.reports import Reports
from simulation.tally import Tally

CONNECTIONS = 16
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Doors:
    """`closing` is set by who wants everything to end in good order."""

    gateway: Gateway
    tally: Tally
    reports: Reports
    mqtt: MqttBikes | None
    closing: threading.Event

    def probe_mqtt(self, bike_id: str) -> None:
        """Raises MqttError when bikes are to report over MQTT and cannot."""
        if self.mqtt is not None:
            self.mqtt.probe(bike_id)


@contextmanager
def opened(connection: Connection, mqtt: tuple[str, int] | None, stop: threading.Event) -> Iterator[Doors]:
    """The doors, the HTTP one tried. `stop` ends every wait at once. Raises Unavailable and ApiError."""
    tally = Tally()
    gateway = Gateway(connection, stop, connections=CONNECTIONS, patience_s=PATIENCE_S, observe=tally.answered)
    gateway.probe()
    bikes = MqttBikes(*mqtt, gateway.token) if mqtt else None
    try:
        yield Doors(gateway, tally, Reports(gateway, tally, bikes), bikes, threading.Event())
    finally:
        if bikes is not None:
            bikes.close()
