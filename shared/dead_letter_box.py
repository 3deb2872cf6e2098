"""Reading a dead-letter queue without taking anything out of it, and taking out just what is settled elsewhere.

A reader holds letters, unacknowledged, until its channel closes; then, as when it is killed, the broker puts them back.
What keeps their order was measured on RabbitMQ 3.10, whose quorum queues put what comes back at the head, but behind
what had come back before: so each reader holds as many as any other, and lets its channel close. A `requeue`, on the
other hand, mixes up more than 32 letters, or sends them to the tail.
"""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import amqp
from amqp.exceptions import NotFound as NoQueue
from kombu import Connection

from shared.amqp import connection
from shared.errors import NotFound
from shared.letters import Letter

# What a reader holds, at most and always. The broker sends all of it, as fast as it is read; here is one at a time.
HELD = 10_000
# After this long without another letter, somebody else holds the rest.
QUIET_S = 2.0
RETURN_LIMIT_S = 5.0


class DeadLetterBox:
    """One dead-letter queue with its `count` of letters; `letters` may be walked once."""

    def __init__(self, conn: Connection, channel: Any, queue: str, count: int) -> None:
        self.queue, self.count = queue, count
        self.removed = 0
        self._connection, self._channel = conn, channel
        self._tags: dict[int, int] = {}
        self._arrived: deque[amqp.Message] = deque()
        self._is_left = False

    def letters(self) -> Iterator[Letter]:
        """The letters that are there now, HELD of them at most, the oldest first; not those that come meanwhile."""
        self._channel.basic_qos(0, HELD, False)
        self._channel.basic_consume(self.queue, callback=self._take)
        for position in range(1, min(self.count, HELD) + 1):
            if not self._arrived and not self._wait():
                return
            message = self._arrived.popleft()
            self._tags[position] = message.delivery_tag
            yield Letter.of(message, position)

    def remove(self, letter: Letter) -> None:
        """Take the letter off the queue: what it holds is settled."""
        self._channel.basic_ack(self._tags.pop(letter.position))
        self.removed += 1

    def leave(self) -> None:
        """What still arrives is not kept: before its next answer the broker sends all that it had begun to send."""
        self._is_left = True
        self._arrived.clear()

    def _take(self, message: amqp.Message) -> None:
        if not self._is_left:
            self._arrived.append(message)

    def _wait(self) -> bool:
        self._connection.heartbeat_check()
        until = time.monotonic() + QUIET_S
        while not self._arrived and time.monotonic() < until:
            try:
                self._connection.drain_events(timeout=0.5)
            except TimeoutError:
                self._connection.heartbeat_check()
        return bool(self._arrived)


@contextmanager
def opened(uri: str, queue: str) -> Iterator[DeadLetterBox]:
    """The dead-letter queue `queue`; on leaving, all that was not removed is back in its place.

    Raises NotFound when there is no such queue, one of BROKER_ERRORS when the broker is away.
    """
    with connection(uri) as conn:
        conn.connect()
        channel = conn.channel()
        # As they came: kombu would decode and decompress what may be here for being neither.
        channel.auto_decode = False
        try:
            count = channel.queue_declare(queue, passive=True).message_count
        except NoQueue:
            raise NotFound(f"There is no queue {queue}.") from None
        box = DeadLetterBox(conn, channel, queue, count)
        try:
            yield box
        finally:
            box.leave()
            # An answer on the same channel: the acknowledgements before it have arrived.
            channel.queue_declare(queue, passive=True)
            channel.close()
            _wait_returned(conn, queue, count - box.removed)


def _wait_returned(conn: Connection, queue: str, count: int) -> None:
    """The broker takes a moment to put back what was held, and who reads before it has would change the order."""
    until = time.monotonic() + RETURN_LIMIT_S
    with conn.channel() as channel:
        while channel.queue_declare(queue, passive=True).message_count < count and time.monotonic() < until:
            time.sleep(0.02)  # until it is asked again: the broker tells nobody; RETURN_LIMIT_S bounds it
