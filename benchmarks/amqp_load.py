"""Publishing many small messages at next to no cost: their frames (AMQP 0-9-1) are made before the clock runs."""

import struct
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

import amqp

from benchmarks.errors import BenchmarkError

CHANNEL = 1
METHOD, HEADER, BODY = 1, 2, 3
BASIC, PUBLISH = 60, 40
MANDATORY = 1
# The properties that are there: content type, delivery mode, timestamp.
FLAGS = 1 << 15 | 1 << 12 | 1 << 6
PERSISTENT = 2
FRAME_END = b"\xce"
# Written at once, and unconfirmed at most.
PIECE, WINDOW = 250, 4000
CONFIRM_LIMIT_S = 60


def frames(exchange: str, routing_key: str, body: bytes, timestamp: int) -> bytes:
    """A persistent, mandatory message as it goes over the wire; `body` fits one frame."""
    method = struct.pack(">HHH", BASIC, PUBLISH, 0) + _short(exchange) + _short(routing_key) + bytes([MANDATORY])
    properties = _short("application/json") + struct.pack(">BQ", PERSISTENT, timestamp)
    header = struct.pack(">HHQH", BASIC, 0, len(body), FLAGS) + properties
    return _frame(METHOD, method) + _frame(HEADER, header) + _frame(BODY, body)


def _frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, CHANNEL, len(payload)) + payload + FRAME_END


def _short(text: str) -> bytes:
    data = text.encode()
    return bytes([len(data)]) + data


class Publisher:
    """One connection with confirms; a context manager."""

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        self._connection = amqp.Connection(
            f"{parts.hostname}:{parts.port}", userid=parts.username, password=parts.password,
            virtual_host=unquote(parts.path[1:]), connect_timeout=10,
        )  # fmt: skip
        self._published = self._confirmed = 0
        self._failures: list[str] = []

    def __enter__(self) -> "Publisher":
        self._connection.connect()
        self._channel = self._connection.channel(CHANNEL)
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(lambda tag, multiple: self._failures.append(f"message {tag} refused"))
        self._channel.events["basic_return"].add(
            lambda error, exchange, key, message: self._failures.append(f"a message to {key} came back: {error}")
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def publish_all(self, messages: Sequence[bytes]) -> None:
        """Write the messages' frames, and return when the broker has confirmed all. Raises BenchmarkError."""
        for start in range(0, len(messages), PIECE):
            piece = messages[start : start + PIECE]
            self._connection.transport.write(b"".join(piece))
            self._published += len(piece)
            self._wait_for_confirms(WINDOW)
        self._wait_for_confirms(0)

    def _wait_for_confirms(self, outstanding: int) -> None:
        while self._published - self._confirmed > outstanding:
            try:
                self._connection.drain_events(timeout=CONFIRM_LIMIT_S)
            except OSError as error:
                raise BenchmarkError(f"the broker does not confirm: {error!r}") from None
            if self._failures:
                raise BenchmarkError(self._failures[0])

    def _on_ack(self, tag: int, multiple: bool) -> None:
        self._confirmed = max(self._confirmed, tag) if multiple else self._confirmed + 1

    def depth(self, queue: str) -> int:
        """How many messages wait in the queue."""
        with self._connection.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).message_count)
