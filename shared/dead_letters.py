"""Putting a message where an operator finds it, with the reason, confirmed before the original is let go."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shared.fields import format_time
from shared.publisher import JSON, SharedPublisher
from shared.topology import DEAD_SUFFIX

REASON = "x-dead-letter-reason"
DETAIL = "x-dead-letter-detail"


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
            **headers,
            REASON: reason,
            DETAIL: detail[:1000],
            "x-dead-lettered-at": format_time(datetime.now(UTC)),
            "x-original-routing-key": origin,
        },
        content_type=content_type or JSON,
        content_encoding=content_encoding or "utf-8",
        timestamp=timestamp,
        timeout=10,
    )
