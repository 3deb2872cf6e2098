"""Events of one queue handled together: one call of the method, one transaction, one acknowledgement.

`@event_handler_many(source_service, event_type)` is `shared.events.event_handler` for a method that takes a list of
`Event`. Alone, an event waits for nobody; what comes while others are handled gathers, and is handed over when they
are done, so under load batches grow by themselves. When a batch fails, each of its events is handled alone, with the
retries and dead letters of `shared.events`, and the next batch does not wait for them: one that fails costs its
neighbours nothing but a second try. So the method must leave nothing behind when it raises, and is told of an event
again, in any order, as a handler of one is. `shared.origins.current` says whose each event is.

Queue, arguments, headers and metrics are those of `event_handler`, either may take the other's place.

Measured: benchmarks/, workload `events`; docs/performance.md.
"""

import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from eventlet.event import Event as Signal
from kombu.message import Message
from nameko.exceptions import ContainerBeingKilled

from shared import message_metrics as metrics
from shared import origins
from shared.batch import SUSPICIOUS_DELIVERIES
from shared.consumers import Gathering, settle
from shared.events import EventHandler
from shared.log import REQUEST_ID, told
from shared.metrics import OK
from shared.origins import Origin

log = logging.getLogger(__name__)

MAX_EVENTS = 500
# Two: while one waits for the database, the next is read; and one that waits long is no wall.
IN_FLIGHT = 2


@dataclass(frozen=True)
class Event:
    """An event as it came: its payload, its message's headers, and the id of the request that it comes from."""

    payload: Any
    headers: Mapping[str, Any] = field(default_factory=dict)
    request_id: str | None = None


@dataclass(frozen=True)
class _Arrived:
    """`began`: when it came, by time.monotonic()."""

    message: Message
    event: Event
    context: dict[str, Any]
    began: float

    @property
    def origin(self) -> Origin:
        return Origin(self.event.request_id, self.context.get("traceparent"))


class EventHandlerMany(EventHandler, Gathering):
    """See the module."""

    def __init__(self, *args: Any, max_events: int = MAX_EVENTS, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.max_events = max_events
        # As many again wait here while some are handled.
        self.prefetch_count = 2 * max_events
        self._waiting: deque[tuple[Message, float]] = deque()
        # What the channel has brought and is not settled, in its order, perhaps with some that are.
        self._unsettled: deque[Message] = deque()
        self._threads: set[Any] = set()
        self._stopping = False

    def setup(self) -> None:
        super().setup()
        self._batch_events = metrics.BATCH_MESSAGES.labels(self.queue.name)

    def stop(self) -> None:
        """Finish what is being handled, and no more; the rest goes back to the queue."""
        self._stopping = True
        for thread in list(self._threads):
            thread.wait()
        super().stop()

    def forget(self) -> None:
        self._waiting.clear()
        self._unsettled.clear()

    def receive(self, message: Message) -> None:
        self._waiting.append((message, time.monotonic()))
        self._forget_settled()
        self._unsettled.append(message)
        if len(self._threads) < IN_FLIGHT and not self._stopping:
            thread = self.container.spawn_managed_thread(self._hand_over, identifier=f"{self.queue.name} batches")
            self._threads.add(thread)
            thread.link(self._threads.discard)

    def _hand_over(self) -> None:
        while self._waiting and not self._stopping:
            batch = self._next()
            if len(batch) == 1:
                self._handle_alone(batch[0]).wait()
            elif batch:
                self._handle_together(batch)

    def _next(self) -> list[_Arrived]:
        """What waits, as far as it can be read; what may be the reason of a crash is not in it, but goes alone."""
        batch: list[_Arrived] = []
        while self._waiting and len(batch) < self.max_events:
            message, began = self._waiting.popleft()
            try:
                payload = message.decode()
            except Exception as error:  # whatever the bytes provoke in a decoder is the message's fault
                self._in_its_own_time(partial(self.handle_undecodable, message, error))
                continue
            context = self.context_of(message)
            arrived = _Arrived(message, Event(payload, message.headers, context.get(REQUEST_ID)), context, began)
            if _is_suspicious(message):
                self._in_its_own_time(partial(self._handle_alone, arrived))
            else:
                batch.append(arrived)
        return batch

    def _in_its_own_time(self, action: Any) -> None:
        self.container.spawn_managed_thread(action, identifier=f"{self.queue.name} alone")

    def _handle_alone(self, arrived: _Arrived) -> Signal:
        """As `event_handler` does; what it returns is sent when the method has returned or raised."""
        returned = Signal()
        self._batch_events.observe(1)
        handle_result = partial(self._handle_result_alone, returned, arrived)
        try:
            self.container.spawn_worker(
                self, ([arrived.event],), {}, context_data=arrived.context, handle_result=handle_result
            )
        except ContainerBeingKilled:
            self.queue_consumer.requeue_message(arrived.message)
            returned.send()
        return returned

    def _handle_result_alone(
        self, returned: Signal, arrived: _Arrived, worker_ctx: Any, result: Any, exc_info: Any
    ) -> tuple[Any, Any]:
        returned.send()
        return self.handle_result(arrived.message, arrived.began, worker_ctx, result, exc_info)

    def _handle_together(self, batch: list[_Arrived]) -> None:
        began, returned = time.monotonic(), Signal()
        # No request, trace or chain of calls is that of all of them.
        whose = origins.headers([each.origin for each in batch])
        try:
            self.container.spawn_worker(
                self,
                ([each.event for each in batch],),
                {},
                context_data=dict(whose),
                handle_result=partial(_hand_back, returned),
            )
        except ContainerBeingKilled:
            return  # what is not acknowledged goes back to the queue
        error = returned.wait()
        outcome = OK if error is None else metrics.SPLIT
        metrics.BATCHES.record(time.monotonic() - began, self.queue.name, outcome)
        if error is None:
            self._batch_events.observe(len(batch))
            for each in batch:
                self.count(each.began, metrics.HANDLED)
            self._acknowledge([each.message for each in batch])
            return
        log.warning(
            "events failed together and are handled one by one",
            extra={
                "queue": self.queue.name,
                "events": len(batch),
                "reason": told(error),
                "request_ids": sorted({each.event.request_id or "" for each in batch}),
            },
        )
        for each in batch:
            self._handle_alone(each)

    def _forget_settled(self) -> None:
        while self._unsettled and self._unsettled[0].acknowledged:
            self._unsettled.popleft()

    def _acknowledge(self, messages: Sequence[Message]) -> None:
        """By one acknowledgement, if none that came before the last of `messages` is not settled."""
        self._forget_settled()
        first = list(islice(self._unsettled, len(messages)))
        if len(first) == len(messages) and all(one is other for one, other in zip(first, messages, strict=True)):
            settle(partial(messages[-1].ack, multiple=True))
            for _ in messages:
                self._unsettled.popleft()
        else:
            for message in messages:
                settle(message.ack)


def _hand_back(returned: Signal, worker_ctx: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
    returned.send(None if exc_info is None else exc_info[1])
    return result, exc_info


def _is_suspicious(message: Message) -> bool:
    count = message.headers.get("x-delivery-count", 0)
    return isinstance(count, int) and count >= SUSPICIOUS_DELIVERIES


event_handler_many = EventHandlerMany.decorator
