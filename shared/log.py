"""JSON logs, one object a line, each with the request id of the work that it belongs to."""

import logging
import sys
import time
import uuid
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

from nameko.extensions import DependencyProvider
from nameko.timer import Timer
from pythonjsonlogger.json import JsonFormatter

from shared import origins, tracing
from shared.errors import DomainError
from shared.outage import is_outage

_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
_call_chain: ContextVar[list[str] | None] = ContextVar("call_id_stack", default=None)
calls = logging.getLogger("calls")

# Each greenlet has a context of its own, so what is set in a worker stays in it.
REQUEST_ID = "request_id"


def current_request_id() -> str | None:
    """The id of the request that this greenlet works for, if any."""
    return _request_id.get()


def set_request_id(request_id: str | None) -> None:
    """Log this greenlet's lines, and publish its events, under `request_id`; a chain of calls has not begun yet."""
    _request_id.set(request_id)
    _call_chain.set(None)


def set_call_chain(call_id_stack: list[str] | None) -> None:
    """Log this greenlet's lines with the calls that led here, the first one first."""
    _call_chain.set(call_id_stack)


def told(error: BaseException) -> str:
    """What a log may say of `error`: its class, and the first line of its message without the data behind it.

    The `repr` of a decoding error holds the whole message, and further lines of a database's hold rows.
    """
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


class _Formatter(JsonFormatter):
    """JSON, without the lines in which PostgreSQL quotes the row that it refuses."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        text = super().formatException(ei)
        shown = text if isinstance(text, list) else str(text).split("\n")
        return "\n".join(line for line in shown if not line.startswith("DETAIL:"))


class _RequestId(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "request_id"):
            record.request_id = _request_id.get()
        ids = tracing.spans().ids()
        if ids is not None:
            record.trace_id, record.span_id = ids
        chain = _call_chain.get()
        if chain is not None and not hasattr(record, "call_id_stack"):
            record.call_id_stack = chain
        return True


def configure(service: str, level: str = "INFO", process: int | None = None) -> None:
    """Log to stdout as JSON: time, level, logger, service, request_id, message, and the line's own fields.

    `process`: which of several processes of the service this is; each line has it then.

    While a trace is recorded, also its trace_id and span_id.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(_RequestId())
    handler.setFormatter(
        _Formatter(
            "%(asctime)s %(levelname)s %(name)s %(message)s %(request_id)s",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            static_fields={"service": service} if process is None else {"service": service, "process": process},
            datefmt="%Y-%m-%dT%H:%M:%SZ",
        )
    )
    handler.formatter.converter = time.gmtime  # type: ignore[union-attr]
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Nameko logs every worker's exception, the expected ones with a traceback too; `calls` says it in a line.
    logging.getLogger("nameko.containers").setLevel(logging.CRITICAL)
    for chatty in ("kombu", "amqp", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class WorkerLog(DependencyProvider):
    """Gives each worker its request id and chain of calls, and logs one line about each: call, outcome, duration.

    With `line=False` it leaves the line to somebody else, such as an access log.
    """

    def __init__(self, line: bool = True) -> None:
        super().__init__()
        self._line = line
        self._started: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    def worker_setup(self, worker_ctx: Any) -> None:
        if isinstance(worker_ctx.entrypoint, Timer):
            # Nobody asked for it, but what it does in other services belongs together.
            worker_ctx.data.setdefault(REQUEST_ID, str(uuid.uuid4()))
        set_request_id(worker_ctx.data.get(REQUEST_ID))
        set_call_chain(worker_ctx.call_id_stack)
        origins.take(worker_ctx.data)
        self._started[worker_ctx] = time.monotonic()

    def worker_result(self, worker_ctx: Any, result: Any = None, exc_info: Any = None) -> None:
        started = self._started.pop(worker_ctx, None)
        if not self._line:
            return
        error = None if exc_info is None else exc_info[1]
        defect = not (error is None or isinstance(error, DomainError) or is_outage(error))
        calls.log(
            logging.ERROR if defect else logging.INFO,
            "%s.%s",
            worker_ctx.service_name,
            worker_ctx.entrypoint.method_name,
            extra={
                "entrypoint": type(worker_ctx.entrypoint).__name__,
                "outcome": "ok" if error is None else type(error).__name__,
                "duration_ms": None if started is None else round((time.monotonic() - started) * 1000, 1),
                "call_id_stack": worker_ctx.call_id_stack,
                # Of calls that came together (`shared.rpc_batch`).
                **({origins.REQUEST_IDS: ids} if (ids := origins.request_ids()) else {}),
            },
            exc_info=exc_info if defect else None,
        )
