"""The transactional outbox: an event is published if and only if its change is committed.

`OutboxMixin` is the table; `record` adds an event to the transaction of its change; `OutboxRelay` publishes what is
committed and then deletes it, so an event may be published twice, never not at all. Several instances share one
table: each takes rows that no other holds (`FOR UPDATE SKIP LOCKED`), with many confirms in flight.
"""

import contextlib
import logging
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import eventlet
import msgspec
from eventlet.queue import Empty, LightQueue
from nameko.events import get_event_exchange
from nameko.extensions import DependencyProvider
from prometheus_client.core import Metric
from sqlalchemy import (
    BigInteger,
    DateTime,
    Text,
    any_,
    bindparam,
    delete,
    event,
    func,
    insert,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from shared import pool_metrics, pool_sizes, tracing
from shared.amqp import connection
from shared.arrays import unnested
from shared.database import DB_URIS, SideEngine, make_engine
from shared.errors import Unavailable
from shared.fields import format_time
from shared.log import current_request_id
from shared.message_metrics import EVENTS_PUBLISHED
from shared.origins import Origin
from shared.outage import is_outage
from shared.probes import PROBES, Probe, figure
from shared.publisher import SharedPublisher, outgoing

log = logging.getLogger(__name__)

BATCH = 500
CONFIRM_LIMIT_S = 10
# Events of this process's own transactions wake the relay; others', and those that a crash left, it finds by itself.
IDLE_S = 0.25
MAX_BACKOFF_S = 5.0
EVENT_VERSION = 1
REQUEST_ID = "nameko.request_id"

_woken: LightQueue = LightQueue(1)


class OutboxMixin:
    """Events of committed changes that are not published yet; an `id` is no order of commits."""

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    event_id: Mapped[str] = mapped_column(Text, unique=True)
    type: Mapped[str] = mapped_column(Text)
    payload: Mapped[str] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)
    traceparent: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


def record(
    session: Session,
    outbox: type[Any],
    event_type: str,
    items: Sequence[dict[str, Any]],
    occurred_at: datetime,
    origins: Sequence[Origin | None] | None = None,
) -> None:
    """Add an event for each of `items` to the transaction of `session`; each is JSON-safe and holds its `revision`.

    `origins`: whose each of them is, by default the worker's own.
    """
    if not items:
        return
    own = Origin(current_request_id(), tracing.spans().carrier().get("traceparent"))
    whose = [own] * len(items) if origins is None else [origin or own for origin in origins]
    ids, moment = [str(uuid.uuid4()) for _ in items], format_time(occurred_at)
    new = unnested(
        "new",
        event_id=(Text(), ids),
        payload=(Text(), [_payload(event_type, *each, moment) for each in zip(ids, items, strict=True)]),
        request_id=(Text(), [origin.request_id for origin in whose]),
        traceparent=(Text(), [origin.traceparent for origin in whose]),
    )
    names = ["event_id", "payload", "request_id", "traceparent", "type"]
    session.execute(insert(outbox).from_select(names, select(*new.c, literal(event_type, Text))))
    event.listen(session, "after_commit", _wake, once=True)


def _payload(event_type: str, event_id: str, data: dict[str, Any], moment: str) -> str:
    envelope = {"id": event_id, "type": event_type, "occurred_at": moment, "version": EVENT_VERSION, "data": data}
    return msgspec.json.encode(envelope).decode()


def _judge(row: Any, failure: Unavailable | None) -> None:
    if failure is None:
        EVENTS_PUBLISHED.labels(row.type).inc()
        return
    log.warning(
        "an event is not confirmed and stays in the outbox",
        extra={"reason": str(failure), "type": row.type, "request_id": row.request_id},
    )
    raise failure


def _wake(*_: Any) -> None:
    if not _woken.full():
        _woken.put_nowait(None)


class OutboxRelay(DependencyProvider):
    """Publishes the outbox of the container's service; injects nothing."""

    publisher = SharedPublisher()
    side = SideEngine()

    def __init__(self, declarative_base: type[DeclarativeBase], outbox: type[Any]) -> None:
        super().__init__()
        self.declarative_base, self.outbox = declarative_base, outbox
        self._forget = delete(outbox).where(outbox.id == any_(bindparam("ids", type_=ARRAY(BigInteger))))
        self._engine: Engine | None = None
        self._stopping = False
        self._main: Any = None
        self._probe = Probe("outbox", self._measure)

    def setup(self) -> None:
        name = self.container.service_name
        url = self.container.config[DB_URIS][f"{name}:{self.declarative_base.__name__}"]
        # Its transaction waits for the confirms of what it has taken, and keeps nobody else from anything.
        self._engine = make_engine(url, name, idle_limit_s=3 * CONFIRM_LIMIT_S, **pool_sizes.OUTBOX)
        pool_metrics.watch(self._engine, "outbox")
        self._exchange = get_event_exchange(name, self.container.config)
        with connection(self.container.config["AMQP_URI"]) as conn, conn.channel() as channel:
            self._exchange(channel).declare()

    def start(self) -> None:
        PROBES.add(self._probe)
        self._main = self.container.spawn_managed_thread(self._run, identifier="outbox relay")

    def stop(self) -> None:
        """Publish what is committed, if broker and database are there, and end."""
        self._stopping = True
        PROBES.remove(self._probe)
        _wake()
        if self._main is not None:
            self._main.wait()

    def _run(self) -> None:
        backoff, newest_first = 0.2, False
        while True:
            # What was committed before the stop may have been too late for a batch that began before it.
            is_last = self._stopping
            try:
                taken = self.publish_batch(newest_first)
            except Exception as error:  # an outage has many classes, is_outage knows them
                if not is_outage(error):
                    raise
                if self._stopping:
                    return
                log.warning("the outbox waits", extra={"reason": repr(error), "retry_in_s": backoff})
                eventlet.sleep(backoff)
                backoff = min(backoff * 2, MAX_BACKOFF_S)
                continue
            backoff = 0.2
            if taken == BATCH:
                # After an outage the old and the new take turns, so that nothing new waits for the backlog's end.
                newest_first = not newest_first
                continue
            if is_last:
                return
            newest_first = False
            try:
                _woken.get(timeout=IDLE_S)
            except Empty:
                continue

    def publish_batch(self, newest_first: bool = False) -> int:
        """Publish up to BATCH events and delete those confirmed; returns how many it took.

        Raises Unavailable when the broker confirmed none of them.
        """
        outbox = self.outbox
        order = outbox.id.desc() if newest_first else outbox.id
        with Session(self._engine) as session, session.begin():
            query = select(
                outbox.id, outbox.event_id, outbox.type, outbox.payload, outbox.request_id, outbox.traceparent
            )
            rows = session.execute(query.order_by(order).limit(BATCH).with_for_update(skip_locked=True)).all()
            if not rows:
                return 0
            confirmed = self._publish(rows)
            session.execute(self._forget, {"ids": confirmed})
        if not confirmed:
            raise Unavailable("The broker confirmed no event.")
        return len(rows)

    def _publish(self, rows: Sequence[Any]) -> list[int]:
        """Publish all, and return the ids of those that the broker has confirmed."""
        spans = [
            tracing.spans().publishing(f"{self._exchange.name}:{row.type}", {"traceparent": row.traceparent})
            for row in rows
        ]
        now = int(datetime.now(UTC).timestamp())
        items = [
            outgoing(
                self._exchange.name,
                row.type,
                row.payload.encode(),
                headers={**({} if row.request_id is None else {REQUEST_ID: row.request_id}), **span.headers},
                message_id=row.event_id,
                timestamp=now,
                # An event that nobody listens for is published all the same.
                mandatory=False,
            )
            for row, span in zip(rows, spans, strict=True)
        ]
        failures = self.publisher.publish_many(items, CONFIRM_LIMIT_S)
        for row, span, failure in zip(rows, spans, failures, strict=True):
            with contextlib.suppress(Unavailable), span:
                _judge(row, failure)
        return [row.id for row, failure in zip(rows, failures, strict=True) if failure is None]

    def _measure(self) -> Iterator[Metric]:
        age = func.extract("epoch", func.now() - func.min(self.outbox.created_at))
        with Session(self.side.engine) as session:
            events, oldest_s = session.execute(select(func.count(), age).select_from(self.outbox)).one()
        yield figure("outbox_events", "Events in the outbox, committed and not published yet.", events)
        yield figure("outbox_oldest_age_seconds", "Age of the oldest of them, 0 without any.", float(oldest_s or 0))
