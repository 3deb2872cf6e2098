"""Reading a message of positions: what is good is handed on, what is bad is split out with its reason."""

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import eventlet
from marshmallow import ValidationError

from shared import compiled_positions
from shared.batch import DeadLetter, Delivery
from shared.compiled_positions import Position
from shared.fields import canonical_uuid
from shared.http_json import MalformedJSON, parse
from shared.positions import BIKE_KEY, MAX_AHEAD, MAX_POSITIONS, MQTT_QOS, FleetPositionSchema, age_problem
from shared.validation import flatten

UNREADABLE, INVALID, WRONG_BIKE, UNKNOWN_BIKE = "unreadable", "invalid", "wrong_bike", "unknown_bike"

SLICE = 200
# The year 9999: what is beyond it is no Unix time in seconds.
LAST_TIMESTAMP = 253_370_764_800

_one = FleetPositionSchema()
_many = FleetPositionSchema(many=True)


def read(delivery: Delivery) -> tuple[list[Position], list[DeadLetter]]:
    """The good positions of a message in its order, and a dead letter for each reason that others are bad."""
    try:
        return _read(delivery)
    except MalformedJSON as error:
        return [], [DeadLetter(delivery, delivery.body, UNREADABLE, str(error))]
    except RecursionError:
        # What could just be read may be nested too deeply to be written into a dead letter.
        return [], [DeadLetter(delivery, delivery.body, UNREADABLE, "The body is nested too deeply.")]


def _read(delivery: Delivery) -> tuple[list[Position], list[DeadLetter]]:
    compiled = compiled_positions.read(delivery.body, MAX_POSITIONS)
    if compiled is not None and _all_fit(delivery, compiled):
        if len(compiled) >= SLICE:
            eventlet.sleep(0)
        return compiled, []
    body = parse(delivery.body)
    positions = body.get("positions") if isinstance(body, dict) else None
    if not isinstance(positions, list) or set(body) != {"positions"} or not 1 <= len(positions) <= MAX_POSITIONS:
        detail = f'Not an object with one member "positions", a list of 1 to {MAX_POSITIONS}.'
        return [], [DeadLetter(delivery, delivery.body, INVALID, detail)]
    if delivery.timestamp is not None and delivery.timestamp > LAST_TIMESTAMP:
        return [], [DeadLetter(delivery, delivery.body, INVALID, "The timestamp is not in seconds.")]
    good: list[Position] = []
    bad: dict[str, list[tuple[dict[str, Any], str]]] = defaultdict(list)
    for raw, loaded, problem in _load(positions):
        reason, detail = (INVALID, problem) if problem else _judge(delivery, loaded)
        if reason:
            bad[reason].append((raw, detail))
        else:
            good.append(Position.of(loaded, raw))
    return good, [dead_letter(delivery, reason, found) for reason, found in bad.items()]


def _all_fit(delivery: Delivery, positions: list[Position]) -> bool:
    """Whether none of `positions` is of a wrong bike or time, for sure; the closer look has the reasons."""
    match = BIKE_KEY.fullmatch(delivery.routing_key)
    if match and {canonical_uuid(match[1])} != {each.bike_id for each in positions}:
        return False
    if delivery.timestamp is None:
        return not _future_problem(delivery, max(each.recorded_at for each in positions))
    if not 0 <= delivery.timestamp <= LAST_TIMESTAMP:
        return False
    accepted_at = datetime.fromtimestamp(delivery.timestamp, UTC)
    times = [each.recorded_at for each in positions]
    return not (age_problem(min(times), accepted_at) or age_problem(max(times), accepted_at))


def dead_letter(delivery: Delivery, reason: str, found: list[tuple[dict[str, Any], str]]) -> DeadLetter:
    """One dead letter that holds just the bad positions, with the first one's detail."""
    positions = [raw for raw, _ in found]
    # A number such as 1e400 was read as an infinity, which is no JSON: it is kept as a string.
    body = json.dumps({"positions": json.loads(json.dumps(positions), parse_constant=str)}).encode()
    return DeadLetter(delivery, body, reason, found[0][1])


def _load(positions: list[Any]) -> Iterator[tuple[Any, dict[str, Any], str]]:
    for start in range(0, len(positions), SLICE):
        part = positions[start : start + SLICE]
        try:
            yield from ((raw, loaded, "") for raw, loaded in zip(part, _many.load(part), strict=True))
        except ValidationError:
            yield from map(_load_one, part)
        # A long message must not keep the process from its calls and heartbeats.
        eventlet.sleep(0)


def _load_one(raw: Any) -> tuple[Any, dict[str, Any], str]:
    try:
        return raw, _one.load(raw), ""
    except ValidationError as error:
        return raw, {}, json.dumps(flatten(error.messages))


def _judge(delivery: Delivery, position: dict[str, Any]) -> tuple[str, str]:
    """(reason, detail) why the position is refused, or two empty texts."""
    match = BIKE_KEY.fullmatch(delivery.routing_key)
    if match and canonical_uuid(match[1]) != position["bike_id"]:
        return WRONG_BIKE, f"The message is about bike {match[1]}."
    if delivery.timestamp is not None:
        # An AMQP timestamp is cut to whole seconds, so what was accepted may be up to one second further ahead.
        accepted_at = datetime.fromtimestamp(delivery.timestamp, UTC)
        problem = age_problem(position["recorded_at"], accepted_at) and age_problem(
            position["recorded_at"], accepted_at + timedelta(seconds=1)
        )
        if problem:
            return INVALID, problem
    elif problem := _future_problem(delivery, position["recorded_at"]):
        return INVALID, problem
    return "", ""


def _future_problem(delivery: Delivery, recorded_at: datetime) -> str | None:
    """Why a position that came over MQTT, which stamps no message with its time, is refused, or None.

    What is too far ahead of now was so when it was accepted; too old it may have become since.
    """
    now = datetime.now(UTC)
    return age_problem(recorded_at, now) if MQTT_QOS in delivery.headers and recorded_at > now + MAX_AHEAD else None
