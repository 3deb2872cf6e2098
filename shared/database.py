"""The database of a service: nameko-sqlalchemy's `Database` with limits on everything that could wait for ever."""

from collections.abc import Callable
from functools import partial
from typing import Any

import eventlet
import psycopg2
from nameko.extensions import SharedExtension
from nameko_sqlalchemy import Database as NamekoDatabase
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import Engine

from shared import pool_metrics, pool_sizes, sql_traces
from shared.green_postgres import LimitedConnection

DB_URIS = "DB_URIS"
CONNECT_TIMEOUT_S = 3
# A pooled connection that does not answer `SELECT 1` within it has lost its other end.
PING_TIMEOUT_S = 3
# A transaction does nothing for so long only when its other end is lost, and what it has locked with it: so all is
# well again within the 10 s of a recovery.
IDLE_LIMIT_S = 5


def engine_options(application_name: str, idle_limit_s: float = IDLE_LIMIT_S) -> dict[str, Any]:
    """Options of `sqlalchemy.create_engine`; all times in milliseconds on the server, seconds here.

    `idle_limit_s`: after which the server ends a transaction that does nothing.
    """
    return {
        **pool_sizes.REQUESTS,
        "pool_timeout": 5,
        "pool_recycle": 1800,
        # A connection that died in the pool is replaced before it costs a rider a 503.
        "pool_pre_ping": True,
        # The values of a statement have no place in logs: names, places, kept answers.
        "hide_parameters": True,
        "connect_args": {
            "application_name": application_name,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
            "connection_factory": LimitedConnection,
            "options": "-c timezone=UTC -c statement_timeout=10000 -c lock_timeout=5000"
            f" -c idle_in_transaction_session_timeout={idle_limit_s * 1000:.0f}",
        },
    }


def make_engine(url: str, application_name: str, idle_limit_s: float = IDLE_LIMIT_S, **options: Any) -> Engine:
    """An engine for `url` with this system's limits; `options` of `sqlalchemy.create_engine` in place of them."""
    engine = create_engine(url, **{**engine_options(application_name, idle_limit_s), **options})
    limit_waiting(engine)
    return engine


def limit_waiting(engine: Engine) -> None:
    """Limits for a new connection and for the ping of a pooled one; libpq's own do not hold where psycopg2 is green."""
    event.listen(engine, "do_connect", _connect)
    dialect: Any = engine.dialect
    dialect.do_ping = partial(_ping, dialect.do_ping)


def _ping(ping: Callable[[Any], bool], dbapi_connection: Any) -> bool:
    dbapi_connection.silence_limit_s = PING_TIMEOUT_S
    try:
        return ping(dbapi_connection)
    finally:
        del dbapi_connection.silence_limit_s  # back to its class's


def _connect(dialect: Any, record: Any, arguments: Any, options: Any) -> Any:
    with eventlet.Timeout(CONNECT_TIMEOUT_S, psycopg2.OperationalError("the database did not answer in time")):
        return dialect.connect(*arguments, **options)


class SideEngine(SharedExtension):
    """A few connections beside the pool, for health checks and figures.

    An exhausted pool must not look like a database that is away, and must not hide its own figures.
    """

    def __init__(self) -> None:
        super().__init__()
        self.engine: Engine | None = None

    def setup(self) -> None:
        url = next(iter(self.container.config[DB_URIS].values()))
        self.engine = make_engine(url, self.container.service_name, **pool_sizes.SIDE, pool_timeout=2)

    def check(self) -> None:
        """Return once the database has answered; raises what SQLAlchemy raises."""
        assert self.engine is not None, "set up before use"
        with self.engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    def stop(self) -> None:
        if self.engine is not None:
            self.engine.dispose()

    kill = stop


class Database(NamekoDatabase):
    """Injects nameko-sqlalchemy's wrapper; use `with self.db.get_session() as session:` for one transaction.

    Its URL is `config["DB_URIS"]["<service>:<declarative base>"]`.
    """

    side = SideEngine()

    def __init__(self, declarative_base: Any) -> None:
        super().__init__(declarative_base, session_options={"expire_on_commit": False})

    def setup(self) -> None:
        self.engine_options = engine_options(self.container.service_name)
        super().setup()
        limit_waiting(self.engine)
        pool_metrics.watch(self.engine, "requests")
        sql_traces.observe(self.engine)
