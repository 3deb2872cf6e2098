"""JSON as HTTP bodies carry it: strict on the way in (RFC 8259 and I-JSON), compact UTF-8 on the way out."""

import json
from typing import Any

from msgspec import Raw


class MalformedJSON(ValueError):
    """The bytes are not one JSON text that everybody reads alike; the message says why."""


def _refuse_constant(name: str) -> Any:
    raise MalformedJSON(f"{name} is not JSON.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedJSON("An object names a member twice.")
    return members


def parse(data: bytes) -> Any:
    """`data` as a value; raises MalformedJSON.

    Refused besides bad syntax: invalid UTF-8, a byte order mark, NaN and Infinity, a member named twice, a lone
    surrogate, nesting or integers beyond what the interpreter takes.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedJSON("The body is not UTF-8.") from None
    try:
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_object)
        if "\\ud" in text or "\\uD" in text:
            # Only an escape can smuggle a lone surrogate in, and then no UTF-8 can be made of it.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except MalformedJSON:
        raise
    except UnicodeEncodeError:
        raise MalformedJSON("A string holds half of a surrogate pair.") from None
    except RecursionError:
        raise MalformedJSON("The body is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise MalformedJSON(f"Not JSON: line {error.lineno}, column {error.colno}: {error.msg}.") from None
    except ValueError:
        raise MalformedJSON("A number has too many digits.") from None
    return value


_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def dump(value: Any) -> bytes:
    """`value` as UTF-8, a JSON text as it is; raises ValueError for NaN and infinities."""
    return bytes(value) if isinstance(value, Raw) else _encoder.encode(value).encode("utf-8")
