"""Messages that have arrived and are in no batch yet."""

import time

import amqp
from eventlet.queue import Empty, LightQueue

# How long to wait for a first message, so that whoever gathers looks up now and then.
FIRST_S = 0.5


class Arrivals(LightQueue):
    """A queue that knows the `size` of its messages, in bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    def _put(self, message: amqp.Message) -> None:
        self.size += len(message.body)
        super()._put(message)

    def _get(self) -> amqp.Message:
        message = super()._get()
        self.size -= len(message.body)
        return message

    def gather(self, max_messages: int, max_bytes: int, wait_s: float) -> list[amqp.Message]:
        """Up to `max_messages`, and hardly more than `max_bytes`, of what comes within `wait_s` of the first.

        Empty when nothing comes for FIRST_S seconds.
        """
        batch: list[amqp.Message] = []
        size, until = 0, time.monotonic() + FIRST_S
        while len(batch) < max_messages and size < max_bytes:
            try:
                message = self.get(timeout=max(until - time.monotonic(), 0.0))
            except Empty:
                break
            if not batch:
                until = time.monotonic() + wait_s
            batch.append(message)
            size += len(message.body)
        return batch
