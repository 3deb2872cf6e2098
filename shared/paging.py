"""Opaque cursors for paging by key: they hold the key of the last item seen."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Any

from shared.errors import Invalid

DEFAULT_LIMIT = 50
MAX_LIMIT = 500


def encode_cursor(*key: str) -> str:
    """The key of the last item as an opaque, URL-safe text."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *readers: Callable[[str], Any]) -> tuple[Any, ...]:
    """The key in `cursor`, each part through its reader (raises ValueError, or returns None, for a bad part).

    Raises Invalid for anything that `encode_cursor` has not made.
    """
    try:
        parts = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if not isinstance(parts, list) or len(parts) != len(readers):
            raise ValueError("wrong number of parts")
        key = tuple(read(part) for read, part in zip(readers, parts, strict=True))
        if any(part is None for part in key):
            raise ValueError("a part is not valid")
    except (ValueError, TypeError, RecursionError, binascii.Error):
        raise Invalid("The cursor is not one of ours.", {"errors": {"cursor": ["Not a valid cursor."]}}) from None
    return key


def page(rows: Sequence[Any], limit: int, key_of: Callable[[Any], tuple[str, ...]]) -> tuple[Sequence[Any], str | None]:
    """Of up to limit + 1 `rows` the first `limit`, with the cursor to what follows or None."""
    shown = rows[:limit]
    return shown, encode_cursor(*key_of(shown[-1])) if len(rows) > limit else None
