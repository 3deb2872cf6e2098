"""Arrays as PostgreSQL's text: one value to send, where psycopg2 would adapt each element by itself."""

from collections.abc import Iterable

import msgspec


def array(values: Iterable[str | None]) -> str:
    """An array literal, to be cast to its type in the statement; None is NULL.

    For texts of digits, letters and `-:.+` only (ids, times): nothing is quoted.
    Source: PostgreSQL's manual, "Array Input and Output Syntax".
    """
    return "{" + ",".join(["NULL" if value is None else value for value in values]) + "}"


def numbers(values: Iterable[float | None]) -> str:
    """The same for finite numbers; written by compiled code, for there are many of them."""
    # JSON's null is NULL too, in whatever case.
    return "{" + msgspec.json.encode(list(values))[1:-1].decode() + "}"
