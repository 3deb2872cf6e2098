"""Idempotency keys: the first answer again, kept by the service that does the work, in the transaction of the effect.

One record per subject and key, for 24 hours. While an attempt runs it holds a lease; an attempt that ends without
an answer (an outage, a crash) leaves a record that the same key resumes under the same resource id.

After the IETF draft "The Idempotency-Key HTTP Header Field".
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import DateTime, Text, delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from shared import errors
from shared.errors import Conflict, DomainError, Invalid

KEEP = timedelta(hours=24)
# Longer than any attempt's deadline; after it an attempt that has not answered is taken for dead.
LEASE = timedelta(seconds=10)
SLICE = 50_000


class IdempotencyMixin:
    """One attempt per (subject, key); `answer` is its outcome as JSON, once there is one."""

    __tablename__ = "idempotency_keys"

    subject: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    fingerprint: Mapped[str] = mapped_column(Text)
    resource_id: Mapped[str] = mapped_column(Text)
    answer: Mapped[str | None] = mapped_column(Text)
    leased_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


@dataclass(frozen=True)
class Attempt:
    """What to do: return `answer` if there is one (it was kept), else work under `resource_id`."""

    resource_id: str
    answer: dict[str, Any] | None = None


def fingerprint(*request: Any) -> str:
    """A digest of what was asked for, to tell the same request from another under the same key."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


def begin(session: Session, table: type[Any], subject: str, key: str, digest: str, resource_id: str) -> Attempt:
    """Start, resume or replay the attempt of (subject, key).

    Raises the kept error again when that was the answer; Invalid when the key was used for another request;
    Conflict with `retry_after` when the first attempt is still running.
    """
    fresh = {
        "fingerprint": digest,
        "resource_id": resource_id,
        "answer": None,
        "leased_until": func.clock_timestamp() + LEASE,
        "created_at": func.clock_timestamp(),
    }
    expired = table.created_at < func.clock_timestamp() - KEEP
    statement = insert(table).values(subject=subject, key=key, **fresh)
    statement = statement.on_conflict_do_update(index_elements=["subject", "key"], set_=fresh, where=expired)
    if session.execute(statement.returning(table.key)).first() is not None:
        return Attempt(resource_id)
    mine = (table.subject == subject) & (table.key == key)
    leased = func.coalesce(table.leased_until > func.clock_timestamp(), False).label("leased")
    kept = session.execute(
        select(table.fingerprint, table.resource_id, table.answer, leased).where(mine).with_for_update()
    ).one()
    if kept.fingerprint != digest:
        raise Invalid(
            "The Idempotency-Key was used for another request.",
            {"errors": {"Idempotency-Key": ["Already used for another request."]}},
        )
    if kept.answer is not None:
        return Attempt(kept.resource_id, _replay(json.loads(kept.answer)))
    if kept.leased:
        raise Conflict("The first request with this Idempotency-Key is still running.", {"retry_after": 1})
    session.execute(update(table).where(mine).values(leased_until=func.clock_timestamp() + LEASE))
    return Attempt(kept.resource_id)


def _replay(answer: dict[str, Any]) -> dict[str, Any]:
    if "result" in answer:
        result: dict[str, Any] = answer["result"]
        return result
    kind: type[DomainError] = getattr(errors, answer["error"])
    raise kind(answer["detail"], {**answer["extra"], "replayed": True})


def keep_result(session: Session, table: type[Any], subject: str, key: str, result: dict[str, Any]) -> None:
    """Keep `result` as the answer, in the transaction of the effect."""
    _keep(session, table, subject, key, {"result": result})


def keep_error(session: Session, table: type[Any], subject: str, key: str, error: DomainError) -> None:
    """Keep a refusal (NotFound, Conflict, Invalid) as the answer."""
    _keep(session, table, subject, key, {"error": type(error).__name__, "detail": error.detail, "extra": error.extra})


def _keep(session: Session, table: type[Any], subject: str, key: str, answer: dict[str, Any]) -> None:
    mine = (table.subject == subject) & (table.key == key)
    session.execute(update(table).where(mine).values(answer=json.dumps(answer), leased_until=None))


def release(session: Session, table: type[Any], subject: str, key: str) -> None:
    """End the lease of an attempt that has no answer, so that the same key can resume it at once."""
    mine = (table.subject == subject) & (table.key == key)
    session.execute(update(table).where(mine, table.answer.is_(None)).values(leased_until=None))


def rename(session: Session, table: type[Any], subject: str, key: str, resource_id: str) -> None:
    """Let the attempt go on under another id (its first was put to rest without an effect)."""
    mine = (table.subject == subject) & (table.key == key)
    session.execute(update(table).where(mine).values(resource_id=resource_id))


def forget_old(session: Session, table: type[Any]) -> None:
    """Delete records older than KEEP, at most SLICE of them."""
    old = select(table.subject, table.key).where(table.created_at < func.now() - KEEP).limit(SLICE)
    session.execute(delete(table).where(tuple_(table.subject, table.key).in_(old)))
