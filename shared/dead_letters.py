"""Putting a message where an operator finds it, with the reason, confirmed before the original is let go."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import amqp.serialization

from shared.fields import format_time
from shared.message_metrics import DEAD_LETTERS
from shared.publisher import JSON, SharedPublisher
from shared.topology import DEAD_SUFFIX

REASON = "x-dead-letter-reason"
DETAIL = "x-dead-letter-detail"
WHEN = "x-dead-lettered-at"
# Under which routing key it was first published, for what comes by its queue's name: put off, or sent again.
ORIGIN = "x-original-routing-key"
ATTEMPT = "x-attempt"
# The broker closes a connection over a message whose headers do not fit into one frame (131 072 bytes).
MAX_FOREIGN_HEADERS = 16_384


def publish(
    publisher: SharedPublisher,
    queue: str,
    body: bytes,
    reason: str,
    detail: str,
    *,
    headers: Mapping[str, Any],
    content_type: str | None = None,
    content_encoding: str | None = None,
    timestamp: int | None = None,
    origin: str = "",
) -> None:
    """Publish `body` to `<queue>.dead`; `reason` is one word (`unknown_bike`), `detail` a sentence.

    Its own headers, content type and timestamp stay as they were, so that it can be sent again as it was.
    Raises Unavailable when the broker has not confirmed it.
    """
    publisher.publish(
        "",
        queue + DEAD_SUFFIX,
        body,
        headers={
            **bounded(headers),
            REASON: reason,
            DETAIL: detail[:1000],
            WHEN: format_time(datetime.now(UTC)),
            ORIGIN: origin[:255],
        },
        content_type=content_type or JSON,
        content_encoding=content_encoding or "utf-8",
        timestamp=timestamp,
        timeout=10,
    )
    DEAD_LETTERS.labels(queue, reason).inc()


def origin_of(exchange: str, routing_key: str, headers: Mapping[str, Any]) -> str:
    """The routing key under which a message was first published.

    The header counts for the default exchange only: whoever may publish by a queue's name needs no other key to.
    """
    named = headers.get(ORIGIN)
    return named if exchange == "" and isinstance(named, str) and named else routing_key


def bounded(headers: Mapping[str, Any]) -> dict[str, Any]:
    """`headers` if they can be sent again with ours beside them, else a note in their place."""
    try:
        size = len(amqp.serialization.dumps("F", [dict(headers)]))
    except Exception as error:  # a table that was read need not be one that can be written
        return {"x-original-headers": f"left out: {error!r}"[:1000]}
    if size > MAX_FOREIGN_HEADERS:
        return {"x-original-headers": f"left out: {size} bytes"}
    return dict(headers)
