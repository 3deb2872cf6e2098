"""A dead letter, as an operator sees it: what it is, why it is here, and how it is sent again."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import amqp

from shared.consumers import raw_body
from shared.dead_letters import ATTEMPT, DETAIL, ORIGIN, REASON, WHEN
from shared.fields import format_time

# What was written on a message on its way here, by us or by the broker, and says nothing about the message itself.
OUR_HEADERS = {ATTEMPT, DETAIL, REASON, WHEN, ORIGIN, "x-original-headers"}
BROKER_HEADERS = {"x-death", "x-delivery-count", "x-acquired-count"}
BROKER_PREFIXES = ("x-first-death-", "x-last-death-")


@dataclass(frozen=True)
class Letter:
    """`position` counts from the head of the queue, which is the oldest, from 1; `at` is RFC 3339 text or None.

    `id` is the message's own id, or where it has none a digest of its body, so equal letters have one id.
    """

    position: int
    id: str
    reason: str
    detail: str
    at: str | None
    origin: str
    body: bytes
    headers: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, message: amqp.Message, position: int) -> "Letter":
        """Read what is there: also letters that the broker itself has put aside have a reason, a time and an origin."""
        properties = dict(message.properties)
        headers = dict(properties.pop("application_headers", None) or {})
        body, deaths = raw_body(message), _deaths(headers)
        newest = deaths[0] if deaths else {}
        return cls(
            position=position,
            id=str(properties.get("message_id") or f"sha256:{hashlib.sha256(body).hexdigest()[:32]}"),
            reason=str(headers.get(REASON) or newest.get("reason") or "unknown"),
            detail=str(headers.get(DETAIL) or _said_by_broker(newest)),
            at=_text(headers.get(WHEN) or newest.get("time")),
            origin=str(headers.get(ORIGIN) or _first_key(deaths)),
            body=body,
            headers=headers,
            properties=properties,
        )

    def headers_again(self) -> dict[str, Any]:
        """The headers to send it again with: as the publisher wrote them, and the routing key that it was sent by."""
        kept = {name: value for name, value in self.headers.items() if not _is_postmark(name)}
        return {**kept, ORIGIN: self.origin} if self.origin else kept

    def summary(self) -> dict[str, Any]:
        """What `list` shows: nothing of the body."""
        return {
            "position": self.position,
            "id": self.id,
            "reason": self.reason,
            "at": self.at,
            "routing_key": self.origin,
            "bytes": len(self.body),
            "detail": self.detail,
        }


def _is_postmark(name: str) -> bool:
    return name in OUR_HEADERS or name in BROKER_HEADERS or name.startswith(BROKER_PREFIXES)


def _deaths(headers: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """How often, and why, the broker itself has moved it from one queue to another; the newest first."""
    deaths = headers.get("x-death")
    return [death for death in deaths if isinstance(death, dict)] if isinstance(deaths, list) else []


def _first_key(deaths: list[Mapping[str, Any]]) -> str:
    keys = deaths[-1].get("routing-keys") if deaths else None
    return str(keys[0]) if isinstance(keys, list) and keys else ""


def _said_by_broker(death: Mapping[str, Any]) -> str:
    if not death:
        return "It came without a reason."
    return f"The broker has put it aside ({death.get('reason')}) from {death.get('queue')}."


def _text(when: Any) -> str | None:
    if isinstance(when, datetime):
        return format_time(when if when.tzinfo else when.replace(tzinfo=UTC))
    return None if when is None else str(when)
