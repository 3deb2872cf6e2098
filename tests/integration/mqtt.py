"""A bike on MQTT: paho's client, turned by the test itself, so that every answer is waited for with a bound."""

import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

V311, V5 = MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5
Will = tuple[str, bytes]


class Bike:
    """`connect` first. `user` may name a virtual host: `<vhost>:<bike id>`."""

    def __init__(
        self,
        address: str,
        user: str | None,
        token: str | None,
        client_id: str,
        will: Will | None = None,
        version: MQTTProtocolVersion = V311,
        is_clean: bool = True,
    ) -> None:
        host, port = address.split(":")
        self._address = host, int(port)
        options: dict[str, Any] = {} if version == V5 else {"clean_session": is_clean}
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=version, **options)
        if user is not None:
            self._client.username_pw_set(user, token)
        if will:
            self._client.will_set(*will, qos=1, retain=True)
        self.answer: str | None = None
        self.is_closed = False
        self.granted: list[bool] = []
        self.received: list[paho.MQTTMessage] = []
        self._acknowledged: set[int] = set()
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = lambda client, data, message: self.received.append(message)

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self.answer = str(reason)

    def _on_disconnect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self.is_closed = True

    def _on_publish(self, client: Any, data: Any, number: int, reason: Any, properties: Any) -> None:
        if not reason.is_failure:
            self._acknowledged.add(number)

    def _on_subscribe(self, client: Any, data: Any, number: int, reasons: Any, properties: Any) -> None:
        self.granted += [not reason.is_failure for reason in reasons]

    def connect(self) -> "Bike":
        """Returns when the broker has answered (`answer`), or has closed the connection without."""
        self._client.connect(*self._address, keepalive=30)
        self.turn(lambda: self.answer is not None or self.is_closed)
        return self

    @property
    def is_in(self) -> bool:
        return self.answer == "Success" and not self.is_closed

    def publish(self, topic: str, body: bytes, qos: int = 1, retain: bool = False, timeout: float = 10.0) -> bool:
        """Whether the broker has acknowledged it; False when it has closed the connection."""
        number = self._client.publish(topic, body, qos=qos, retain=retain).mid
        self.turn(lambda: number in self._acknowledged or self.is_closed, timeout)
        return number in self._acknowledged and not self.is_closed

    def subscribe(self, topic: str) -> bool:
        """Whether the broker has granted it."""
        before = len(self.granted)
        self._client.subscribe(topic, qos=1)
        self.turn(lambda: len(self.granted) > before or self.is_closed)
        return self.granted[before:] == [True] and not self.is_closed

    def turn(self, condition: Callable[[], bool], timeout: float = 10.0) -> None:
        """Receive and send until the condition holds; fails when it does not in time."""
        until = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < until, "the broker has not answered"
            if self._client.loop(0.05) != paho.MQTT_ERR_SUCCESS:
                self.is_closed = True

    def vanish(self) -> None:
        """Go without a word, so that the broker publishes the will."""
        sock: Any = self._client.socket()
        if sock is not None:
            sock.close()

    def leave(self) -> None:
        self._client.disconnect()
        self._client.loop(0.05)
