"""A span for each statement of an engine that belongs to a trace, by SQLAlchemy's events."""

from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from shared import tracing

SPAN = "span"


def observe(engine: Engine) -> None:
    """Trace the statements of `engine`; nothing at all while traces are off."""
    if not tracing.spans().is_on:
        return
    event.listen(engine, "before_cursor_execute", _begin)
    event.listen(engine, "after_cursor_execute", _end)
    event.listen(engine, "handle_error", _fail)


def _begin(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
    connection.info[SPAN] = tracing.spans().statement(statement, connection.engine.url.database)


def _end(connection: Any, *_: Any) -> None:
    span = connection.info.pop(SPAN, None)
    if span is not None:
        span.end()


def _fail(failure: Any) -> None:
    # Also for what fails without a statement: connecting, committing.
    connection = failure.connection
    if connection is None or failure.cursor is None:
        return
    span = connection.info.pop(SPAN, None) if not connection.invalidated else None
    if span is not None:
        span.end(failure.original_exception)
