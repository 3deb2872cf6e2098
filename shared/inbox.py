"""Handling an event once: its id is kept in the transaction of its effect."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from marshmallow import fields, validate
from sqlalchemy import DateTime, Text, cast, delete, func, literal, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from shared.fields import UTCDateTime, UUIDText
from shared.outbox import EVENT_VERSION
from shared.validation import StrictSchema, load

# Longer than the broker and the outbox can hold a copy back by themselves.
KEEP = timedelta(days=14)
SLICE = 50_000


class InboxMixin:
    """Events already handled."""

    __tablename__ = "inbox"

    event_id: Mapped[str] = mapped_column(Text, primary_key=True)
    handler: Mapped[str] = mapped_column(Text, primary_key=True)
    handled_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class EventSchema(StrictSchema):
    """The envelope of every event; `data` is the handler's to read."""

    id = UUIDText(required=True)
    type = fields.String(required=True)
    occurred_at = UTCDateTime(required=True)
    version = fields.Integer(required=True, strict=True, validate=validate.Equal(EVENT_VERSION))
    data = fields.Dict(required=True)


_event = EventSchema()


def load_event(payload: Any) -> dict[str, Any]:
    """The envelope with inside values; raises Invalid, of an unknown version too."""
    envelope: dict[str, Any] = load(_event, payload, "The event is invalid.")
    return envelope


def first_time(session: Session, inbox: type[Any], event_id: str, handler: str) -> bool:
    """Whether `handler` has not handled this event before; if so it counts as handled when `session` commits."""
    return bool(first_times(session, inbox, [event_id], handler))


def first_times(session: Session, inbox: type[Any], event_ids: Iterable[str], handler: str) -> set[str]:
    """Those of the events that `handler` has not handled before; see `first_time`."""
    # In one order, so that two handlers with the same events cannot wait for each other.
    ids = sorted(set(event_ids))
    given = select(func.unnest(cast(ids, ARRAY(Text))), literal(handler, Text))
    row = insert(inbox).from_select(["event_id", "handler"], given).on_conflict_do_nothing()
    return set(session.scalars(row.returning(inbox.event_id)))


def forget_old(session: Session, inbox: type[Any]) -> None:
    """Delete what is older than KEEP, at most SLICE of it."""
    old = select(inbox.event_id, inbox.handler).where(inbox.handled_at < func.now() - KEEP).limit(SLICE)
    session.execute(delete(inbox).where(tuple_(inbox.event_id, inbox.handler).in_(old)))
