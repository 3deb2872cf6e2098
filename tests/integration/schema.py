"""What the database makes of the models and of the queries."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import MetaData, event
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from tests.integration.builders import engine, transaction


def columns(metadata: MetaData) -> dict[str, dict[str, tuple[str, bool]]]:
    """Type and nullability of each column, by table and name."""
    dialect = postgresql.dialect()
    return {
        table.name: {
            column.name: (column.type.compile(dialect), bool(column.nullable))
            for column in table.columns
            if column.computed is None
        }
        for table in metadata.tables.values()
    }


def migrated(database_url: str, tables: list[str]) -> MetaData:
    """The tables as the migrations have made them."""
    found = MetaData()
    found.reflect(engine(database_url), only=tables)
    return found


def plans(database_url: str, work: Callable[[Session], Any]) -> list[str]:
    """The plan of each query that `work` makes."""
    with transaction(database_url) as session:
        connection = session.connection()
        made: list[tuple[str, Any]] = []
        event.listen(
            connection,
            "before_cursor_execute",
            lambda conn, cursor, statement, parameters, context, many: made.append((statement, parameters)),
        )
        work(session)
        cursor = connection.connection.cursor()
        found = []
        for statement, parameters in made:
            cursor.execute(f"EXPLAIN {statement}", parameters)
            found.append("\n".join(row[0] for row in cursor.fetchall()))
        return found
