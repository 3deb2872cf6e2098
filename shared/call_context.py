"""What comes with a message besides its body: the request's id, the deadline, the calls that led here."""

import math
from typing import Any

# Longer ones are no ids, and would not fit the headers of what they are handed on with.
MAX_TEXT = 512


def usable(context: dict[str, Any]) -> dict[str, Any]:
    """`context` (Nameko's headers of a message) without entries of a wrong type, which would end the container."""
    return {name: value for name, value in context.items() if name not in CHECKS or CHECKS[name](value)}


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(call, str) for call in value)


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_times(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_time, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT


CHECKS = {
    "call_id_stack": _is_texts,
    "deadline": _is_time,
    "request_id": _is_text,
    "deadlines": _is_times,
    "request_ids": _is_texts,
    "traceparents": _is_texts,
    "traceparent": _is_text,
    "tracestate": _is_text,
}
