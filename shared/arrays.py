"""Arrays as PostgreSQL's text: one value to send, where psycopg2 would adapt each element by itself."""

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import String, cast, column, func, literal
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.selectable import TableValuedAlias
from sqlalchemy.types import TypeEngine


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


def unnested(name: str, **columns: tuple[TypeEngine[Any], Iterable[Any]]) -> TableValuedAlias:
    """The rows of `columns` (type and values by name) as a table of a statement, by one array a column."""
    arrays = [cast(_literal(values), ARRAY(kind)) for kind, values in columns.values()]
    table = func.unnest(*arrays).table_valued(*(column(each, kind) for each, (kind, _) in columns.items()))
    return table.render_derived(name=name)


def _literal(values: Iterable[Any]) -> Any:
    return literal("{" + ",".join(map(_element, values)) + "}", String)


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
