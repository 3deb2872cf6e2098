"""Bikes that report over MQTT: each with a connection and a token of its own, open while it rides."""

import json
import threading
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from replay.client import Caller

KEEPALIVE_S = 60
ANSWER_S = 10.0
AT_LEAST_ONCE = 1


class MqttError(Exception):
    """The broker did not take a connection or a message."""


class MqttBikes:
    """One broker's MQTT door. Each bike is used by one thread at a time."""

    def __init__(self, host: str, port: int, token: Callable[[Caller], str]) -> None:
        self._host, self._port, self._token = host, port, token
        self._clients: dict[str, Client] = {}

    def publish(self, bike_id: str, body: dict[str, Any]) -> None:
        """Returns once the broker has taken it; connects the bike if it is not. Raises MqttError."""
        client = self._clients.get(bike_id) or self._connected(bike_id)
        sent = client.publish(f"bike/{bike_id}/position", json.dumps(body), qos=AT_LEAST_ONCE)
        if not _confirmed(sent):
            self.leave(bike_id)
            raise MqttError(f"a position of bike {bike_id} was not confirmed within {ANSWER_S:.0f} s")

    def leave(self, bike_id: str) -> None:
        """Closes the bike's connection, if it has one."""
        client = self._clients.pop(bike_id, None)
        if client is not None:
            _close(client)

    def close(self) -> None:
        """Closes all."""
        for bike_id in list(self._clients):
            self.leave(bike_id)

    def probe(self, bike_id: str) -> None:
        """Raises MqttError when that bike cannot connect."""
        self._connected(bike_id)
        self.leave(bike_id)

    def _connected(self, bike_id: str) -> Client:
        answered = threading.Event()
        refusals: list[str] = []

        def on_connect(
            client: Client, userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
        ) -> None:
            if reason.is_failure:
                refusals.append(str(reason))
            answered.set()

        # the broker lets a bike in only under its own id
        client = Client(CallbackAPIVersion.VERSION2, client_id=bike_id)
        client.on_connect = on_connect
        client.username_pw_set(bike_id, self._token(Caller("vehicle", bike_id)))
        try:
            client.connect(self._host, self._port, KEEPALIVE_S)
        except OSError as error:
            raise MqttError(f"MQTT={self._host}:{self._port} cannot be reached: {error}") from error
        client.loop_start()
        if not answered.wait(ANSWER_S) or refusals:
            _close(client)
            said = refusals[0] if refusals else f"no answer within {ANSWER_S:.0f} s"
            raise MqttError(f"MQTT={self._host}:{self._port} refuses bike {bike_id}: {said}")
        self._clients[bike_id] = client
        return client


def _confirmed(sent: MQTTMessageInfo) -> bool:
    try:
        sent.wait_for_publish(ANSWER_S)
    except (RuntimeError, ValueError):  # paho's words for a lost connection, and a full queue
        return False
    return sent.is_published()


def _close(client: Client) -> None:
    client.disconnect()
    client.loop_stop()
