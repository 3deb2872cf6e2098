"""The pools of database connections as Prometheus sees them."""

from typing import Any

from sqlalchemy.engine import Engine

from shared.metrics import gauge

LABELS = ["pool"]
SIZE = gauge("database_pool_size", "Connections that the pool keeps.", LABELS)
LIMIT = gauge("database_pool_limit", "Connections that the pool makes at most, overflow included.", LABELS)
CHECKED_OUT = gauge("database_pool_checked_out", "Connections in use.", LABELS)
OVERFLOW = gauge("database_pool_overflow", "Connections beyond those that the pool keeps.", LABELS)


def watch(engine: Engine, name: str) -> None:
    """Show the pool of `engine`, a QueuePool, under `name`."""

    def pool() -> Any:
        # An engine that is disposed of gets another one.
        return engine.pool

    SIZE.labels(name).set_function(lambda: pool().size())
    LIMIT.labels(name).set_function(lambda: pool().size() + pool()._max_overflow)
    CHECKED_OUT.labels(name).set_function(lambda: pool().checkedout())
    # Below the pool's size SQLAlchemy counts it negative.
    OVERFLOW.labels(name).set_function(lambda: max(pool().overflow(), 0))
