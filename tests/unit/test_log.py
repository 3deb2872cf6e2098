import json
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import eventlet
import pytest
from nameko.timer import Timer
from sqlalchemy.exc import OperationalError

from shared.errors import Conflict
from shared.log import WorkerLog, configure, current_request_id, set_request_id, told

CHANGED = ("nameko.containers", "kombu", "amqp", "alembic")


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What was logged by a service's logging; the test run's own is as it was afterwards."""
    root, stdout = logging.getLogger(), StringIO()
    handlers, level = root.handlers, root.level
    levels = {name: logging.getLogger(name).level for name in CHANGED}
    root.handlers = []
    set_request_id(None)
    try:
        with redirect_stdout(stdout):
            configure("bike_service")
        yield lambda: [json.loads(line) for line in stdout.getvalue().splitlines()]
    finally:
        root.handlers = handlers
        root.setLevel(level)
        for name, its in levels.items():
            logging.getLogger(name).setLevel(its)
        set_request_id(None)


def worker(request_id: str | None = "r-1") -> Any:
    context = Mock(service_name="bike_service", call_id_stack=["a", "b"], data={"request_id": request_id})
    context.entrypoint = SimpleNamespace(method_name="get")
    return context


def test_a_line_is_one_json_object(lines: Any) -> None:
    logging.getLogger("some.module").warning("two\nlines of %s", "\ud800 ü", extra={"queue": "q", "retry_in_s": 0.2})
    [line] = lines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line.pop("time"))
    assert line == {
        "level": "WARNING",
        "logger": "some.module",
        "service": "bike_service",
        "request_id": None,
        "message": "two\nlines of \ud800 ü",
        "queue": "q",
        "retry_in_s": 0.2,
    }


@pytest.fixture
def _far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "XXX-11")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_far_east")
def test_the_time_is_utc_wherever_the_service_runs(lines: Any) -> None:
    record = logging.makeLogRecord({"msg": "x", "levelno": logging.INFO, "created": 1_777_636_800.9})
    logging.getLogger().handle(record)
    assert lines()[0]["time"] == "2026-05-01T12:00:00Z"


def test_nameko_and_the_libraries_do_not_repeat_what_calls_say(lines: Any) -> None:
    logging.getLogger("nameko.containers").error("error handling worker")
    for name in ("kombu", "amqp", "alembic.runtime"):
        logging.getLogger(name).info("chatter")
    logging.getLogger("any").debug("detail")
    assert lines() == []


def test_each_greenlet_logs_its_own_request(lines: Any) -> None:
    def work(request_id: str) -> None:
        set_request_id(request_id)
        eventlet.sleep(0)
        logging.getLogger("work").info(request_id)
        assert current_request_id() == request_id

    for thread in [eventlet.spawn(work, f"r-{number}") for number in range(3)]:
        thread.wait()
    assert [(line["message"], line["request_id"]) for line in lines()] == [(f"r-{n}", f"r-{n}") for n in range(3)]
    assert current_request_id() is None


def test_a_line_may_name_another_request(lines: Any) -> None:
    set_request_id("mine")
    logging.getLogger("work").info("x", extra={"request_id": "theirs"})
    assert lines()[0]["request_id"] == "theirs"


@pytest.mark.parametrize(
    ("error", "level", "outcome"),
    [
        (None, "INFO", "ok"),
        (Conflict("Taken."), "INFO", "Conflict"),
        (ConnectionResetError(), "INFO", "ConnectionResetError"),
        (OperationalError("SELECT", {}, Exception("away")), "INFO", "OperationalError"),
        (KeyError("id"), "ERROR", "KeyError"),
    ],
)
def test_a_call_is_one_line_and_only_a_defect_has_a_traceback(
    lines: Any, error: Exception | None, level: str, outcome: str
) -> None:
    log, context = WorkerLog(), worker()
    log.worker_setup(context)
    log.worker_result(context, None, None if error is None else (type(error), error, None))
    [line] = lines()
    assert (line["message"], line["level"], line["outcome"]) == ("bike_service.get", level, outcome)
    assert ("exc_info" in line) is (level == "ERROR")
    assert (line["request_id"], line["call_id_stack"], line["entrypoint"]) == ("r-1", ["a", "b"], "SimpleNamespace")
    assert 0 <= line["duration_ms"] < 10_000


def test_a_call_that_was_never_set_up_is_logged_too(lines: Any) -> None:
    WorkerLog().worker_result(worker(), None, None)
    assert lines()[0]["duration_ms"] is None


def test_a_worker_without_a_request_does_not_inherit_the_last_one_s(lines: Any) -> None:
    log = WorkerLog()
    log.worker_setup(worker("r-1"))
    assert current_request_id() == "r-1"
    log.worker_setup(worker(None))
    assert current_request_id() is None


def test_each_line_of_a_worker_has_the_calls_that_led_to_it(lines: Any) -> None:
    WorkerLog().worker_setup(worker("r-1"))
    logging.getLogger("work").warning("in the middle")
    set_request_id("r-2")
    logging.getLogger("work").warning("another request")
    assert [(line["request_id"], line.get("call_id_stack")) for line in lines()] == [("r-1", ["a", "b"]), ("r-2", None)]


def test_a_worker_log_without_a_line_of_its_own_still_names_the_request(lines: Any) -> None:
    log, context = WorkerLog(line=False), worker("r-1")
    log.worker_setup(context)
    logging.getLogger("work").warning("in the middle")
    log.worker_result(context, None, None)
    assert [(line["message"], line["request_id"]) for line in lines()] == [("in the middle", "r-1")]


def test_what_a_timer_does_belongs_together(lines: Any) -> None:
    context = worker()
    context.entrypoint, context.data = Timer(interval=1), {}
    context.entrypoint.method_name = "reconcile"
    log = WorkerLog()
    log.worker_setup(context)
    log.worker_result(context, None, None)
    [line] = lines()
    # Calls to other services take it from there.
    assert line["request_id"] == context.data["request_id"]
    assert uuid.UUID(line["request_id"])


def test_one_of_several_processes_says_which(lines: Any) -> None:
    with redirect_stdout(StringIO()) as stdout:
        configure("bike_service", process=3)
        logging.getLogger("work").warning("x")
    assert json.loads(stdout.getvalue())["process"] == 3


def test_a_log_tells_what_went_wrong_but_not_with_which_data() -> None:
    with pytest.raises(UnicodeDecodeError) as raised:
        b"a secret\xff".decode()
    assert told(raised.value) == (
        "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 8: invalid start byte"
    )
    assert told(ValueError("null value\nDETAIL:  Failing row contains (a secret).")) == "ValueError: null value"
    assert told(TimeoutError()) == "TimeoutError"


def test_a_traceback_does_not_quote_the_row_that_was_refused(lines: Any) -> None:
    message = "\n".join(["null value", "DETAIL:  Failing row contains (a secret).", "and more"])
    try:
        raise ValueError(message)
    except ValueError:
        logging.getLogger("x").exception("failed")
    [line] = lines()
    assert "null value" in line["exc_info"]
    assert "and more" in line["exc_info"]
    assert "Failing row" not in json.dumps(line)
