"""JSON between services: what Python's json reads and writes, but read by compiled code, and written without padding.

Unlike over HTTP nothing is refused here that Python's json takes (NaN, half of a surrogate pair): a caller's fault is
its service's to judge.
"""

import json
from typing import Any

import msgspec

_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_decode = msgspec.json.Decoder().decode


def read(data: bytes) -> Any:
    """`data` as json.loads reads it; raises ValueError."""
    try:
        # It reads a part of what json does, alike.
        return _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return json.loads(data)


def write(value: Any) -> bytes:
    """JSON as UTF-8 that json.loads reads as json.dumps's; raises what json.dumps raises."""
    text = _compact.encode(value)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()
