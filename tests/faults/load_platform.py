"""An IoT platform that publishes the positions of many bikes straight to the broker, each message confirmed or not."""

import json
import random
import threading
import time
from typing import Any
from urllib.parse import unquote, urlsplit

import amqp

from tests.faults.ledger import CONFIRMED, UNCONFIRMED, Entry, Ledger
from tests.faults.load_positions import PositionSource

PATIENCE_S = 5.0


class Platform(threading.Thread):
    """Publishes about `rate` messages a second; connects again when the connection is lost."""

    def __init__(
        self,
        amqp_uri: str,
        bikes: list[str],
        positions: PositionSource,
        stop: threading.Event,
        ledger: Ledger,
        rng: random.Random,
        rate: float = 10,
    ) -> None:
        super().__init__(daemon=True)
        self._uri, self._bikes, self._positions = urlsplit(amqp_uri), bikes, positions
        self._stopped, self._ledger, self._rng, self._pause_s = stop, ledger, rng, 1 / rate
        self._connection: amqp.Connection | None = None
        self._channel: Any = None

    def run(self) -> None:
        while not self._stopped.wait(self._pause_s):
            positions = [self._positions.next(bike) for bike in self._rng.sample(self._bikes, 3)]
            began, since = time.time(), time.monotonic()
            outcome = self._publish(positions)
            took = time.monotonic() - since
            self._ledger.write(Entry("publish", "platform", began, took, outcome, {"positions": positions}))

    def _publish(self, positions: list[dict[str, Any]]) -> str:
        try:
            if self._connection is None:
                self._connect()
            message = amqp.Message(
                json.dumps({"positions": positions}), delivery_mode=2, content_type="application/json",
                content_encoding="utf-8", timestamp=int(time.time()),
            )  # fmt: skip
            self._channel.basic_publish_confirm(
                message, exchange="positions", routing_key="fleet.position", mandatory=True, confirm_timeout=PATIENCE_S
            )
        except (OSError, amqp.AMQPError):
            self._drop()
            return UNCONFIRMED
        return CONFIRMED

    def _connect(self) -> None:
        self._connection = amqp.Connection(
            f"{self._uri.hostname}:{self._uri.port}", userid=self._uri.username, password=self._uri.password,
            virtual_host=unquote(self._uri.path[1:]), connect_timeout=PATIENCE_S, read_timeout=PATIENCE_S,
            write_timeout=PATIENCE_S,
        )  # fmt: skip
        self._connection.connect()
        self._channel = self._connection.channel()

    def _drop(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            connection.collect()
