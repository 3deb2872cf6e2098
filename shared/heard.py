"""What a message that was heard says, in plain data; what is broken is ignored, for others put it aside."""

import logging
from datetime import UTC, datetime
from typing import Any

import msgspec

from shared import listener_metrics as metrics
from shared.fields import canonical_uuid, format_time
from shared.moves import EXCHANGE, Move, time_key
from shared.positions import MAX_AHEAD

log = logging.getLogger(__name__)

Json = dict[str, Any]
Event = Json
"""`{"id", "type", "occurred_at", "version", "data": {"id", "revision", ...}}`."""

_moves = msgspec.json.Decoder(list[Move])


def event_of(routing_key: str, body: bytes) -> Event | None:
    """The event in a message, None when there is none."""
    try:
        event = msgspec.json.decode(body)
        data = event["data"]
        if isinstance(event["type"], str) and canonical_uuid(data["id"]) and isinstance(data["revision"], int):
            return dict(event)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        pass
    _ignore(routing_key)
    return None


def moves_of(body: bytes) -> list[Move]:
    """The moves in a message; one from the future would hide all that come after it, so it is left out."""
    try:
        moves = _moves.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        _ignore(EXCHANGE.name)
        return []
    latest = time_key(format_time(datetime.now(UTC) + MAX_AHEAD))
    shown = [move for move in moves if time_key(move["recorded_at"]) <= latest]
    if len(shown) < len(moves):
        _ignore(EXCHANGE.name)
    return shown


def _ignore(routing_key: str) -> None:
    metrics.IGNORED.inc()
    log.debug("a message has nothing to show", extra={"routing_key": routing_key})
