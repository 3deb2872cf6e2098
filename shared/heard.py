"""What a message that was heard says, in plain data; what is broken is ignored, for others put it aside."""

import logging
from datetime import UTC, datetime
from typing import Any

import msgspec

from shared import listener_metrics as metrics
from shared import position_messages
from shared.batch import Delivery
from shared.compiled_positions import Position
from shared.fields import canonical_uuid, format_time
from shared.positions import MAX_AHEAD

log = logging.getLogger(__name__)

Json = dict[str, Any]
Event = Json
"""`{"id", "type", "occurred_at", "version", "data": {"id", "revision", ...}}`."""


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


def positions_of(delivery: Delivery) -> list[Json]:
    """The good positions in a message, in its order; one from the future would hide all that come after it."""
    good, bad = position_messages.read(delivery)
    latest = datetime.now(UTC) + MAX_AHEAD
    shown = [_plain(each) for each in good if each.recorded_at <= latest]
    if bad or len(shown) < len(good):
        _ignore(delivery.routing_key)
    return shown


def _plain(position: Position) -> Json:
    plain: Json = {
        "bike_id": position.bike_id,
        "recorded_at": format_time(position.recorded_at),
        "location": {"type": "Point", "coordinates": [position.longitude, position.latitude]},
    }
    if position.battery_percent is not None:
        plain["battery_percent"] = position.battery_percent
    if position.speed_mps is not None:
        plain["speed_mps"] = position.speed_mps
    if position.accuracy_m is not None:
        plain["accuracy_m"] = position.accuracy_m
    return plain


def _ignore(routing_key: str) -> None:
    metrics.IGNORED.inc()
    log.debug("a message has nothing to show", extra={"routing_key": routing_key})
