"""Arrays as PostgreSQL's text: one value to send, where psycopg2 would adapt each element by itself."""

from collections.abc import Iterable


def array(values: Iterable[str | float | None]) -> str:
    """An array literal, to be cast to its type in the statement; None is NULL.

    For numbers, and for texts of digits, letters and `-:.+` only (ids, times): nothing is quoted.
    Source: PostgreSQL's manual, "Array Input and Output Syntax".
    """
    return "{" + ",".join("NULL" if value is None else str(value) for value in values) + "}"
