"""Spans: whose they are, what they say, and what they must not say."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from nameko.events import EventHandler
from nameko.rpc import Rpc
from nameko.timer import Timer
from nameko.web.handlers import HttpRequestHandler
from opentelemetry.trace import SpanKind, StatusCode

from shared import tracing
from shared.batch import BatchConsumer, Delivery
from shared.call_context import usable
from shared.errors import Conflict, DeadlineExceeded, Unavailable
from shared.problems import Problem
from shared.worker_traces import Traces
from tests.traces import Traced, recording

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
UNSAMPLED = f"00-{TRACE}-{SPAN}-00"
MALFORMED = [
    None,
    "",
    17,
    b"\xff",
    ["00"],
    {"a": 1},
    "rubbish",
    TRACEPARENT.upper(),
    TRACEPARENT + "-more",
    TRACEPARENT.replace("00-", "ff-", 1),
    f"00-{'0' * 32}-{SPAN}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"{TRACEPARENT},{TRACEPARENT}",
    "01-" + TRACEPARENT[3:] + "-" + "x" * 100_000,
    "\ud800",
]


@pytest.fixture
def traced() -> Iterator[Traced]:
    with recording() as found:
        yield found


def ids(span: Any) -> tuple[str, str | None]:
    """Trace id, and parent's span id."""
    return f"{span.context.trace_id:032x}", None if span.parent is None else f"{span.parent.span_id:016x}"


def served(carrier: dict[str, Any]) -> None:
    with tracing.spans().rpc_served("bike_service", "get", carrier):
        pass


def test_a_served_call_continues_the_trace_of_its_caller(traced: Traced) -> None:
    with tracing.spans().rpc_call("bike_service", "get") as call:
        headers = dict(call.headers)
    served(headers)
    client, server = traced.spans
    assert (client.kind, server.kind) == (SpanKind.CLIENT, SpanKind.SERVER)
    assert client.name == server.name == "bike_service/get"
    assert server.context.trace_id == client.context.trace_id
    assert server.parent is not None
    assert server.parent.span_id == client.context.span_id
    assert dict(server.attributes or {}) == {
        "rpc.system": "nameko",
        "rpc.service": "bike_service",
        "rpc.method": "get",
    }


def test_trace_state_travels_along(traced: Traced) -> None:
    carrier = {"traceparent": TRACEPARENT, "tracestate": "vendor=opaque"}
    with tracing.spans().rpc_served("bike_service", "get", carrier) as span:
        assert span.headers["tracestate"] == "vendor=opaque"
    assert ids(traced.only) == (TRACE, SPAN)


@pytest.mark.parametrize("value", MALFORMED, ids=lambda value: repr(value)[:20])
def test_a_malformed_header_begins_a_new_trace(traced: Traced, value: Any) -> None:
    served({"traceparent": value, "tracestate": value})
    trace_id, parent = ids(traced.only)
    assert trace_id != TRACE
    assert parent is None


@pytest.mark.parametrize("state", [17, "=", "a" * 600, "\ud800", ",,,"])
def test_a_malformed_state_leaves_the_trace_as_it_is(traced: Traced, state: Any) -> None:
    served({"traceparent": TRACEPARENT, "tracestate": state})
    assert ids(traced.only) == (TRACE, SPAN)


def test_headers_of_a_wrong_type_do_not_reach_a_worker() -> None:
    assert usable({"traceparent": 1, "tracestate": ["a"], "request_id": "r"}) == {"request_id": "r"}
    assert usable({"traceparent": TRACEPARENT}) == {"traceparent": TRACEPARENT}


def test_a_trace_that_is_not_sampled_is_carried_on_and_not_recorded(traced: Traced) -> None:
    with tracing.spans().rpc_served("bike_service", "get", {"traceparent": UNSAMPLED}):
        assert tracing.spans().carrier()["traceparent"].startswith(f"00-{TRACE}-")
        assert tracing.spans().carrier()["traceparent"].endswith("-00")
        assert tracing.spans().ids() is None
        assert tracing.spans().statement("SELECT 1", "bikes") is None
    assert traced.spans == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (None, None),
        (Conflict("taken"), None),
        (Problem(404, "nothing"), None),
        (Unavailable("away"), "Unavailable"),
        (DeadlineExceeded("late"), "DeadlineExceeded"),
        (ValueError("rita at 47.3, 8.5"), "ValueError"),
    ],
)
def test_only_what_is_no_answer_is_an_error(traced: Traced, error: Exception | None, kind: str | None) -> None:
    span = tracing.spans().rpc_call("bike_service", "get")
    span.__enter__()
    span.__exit__(type(error), error, None)
    assert traced.only.status.status_code is (StatusCode.UNSET if kind is None else StatusCode.ERROR)
    assert (traced.only.attributes or {}).get("error.type") == kind
    assert traced.only.status.description is None
    assert traced.only.events == ()


def http(status: int, route: str | None, **environ: str) -> None:
    given = {"REQUEST_METHOD": "GET", "PATH_INFO": "/v1/bikes/1", "QUERY_STRING": "lat=47.3", **environ}
    with tracing.spans().http_request(given) as span:
        span.answered(status, route)


def test_a_request_is_named_by_its_route_and_says_nothing_of_its_query(traced: Traced) -> None:
    http(200, "/v1/bikes/{bike_id}", HTTP_TRACEPARENT=TRACEPARENT, HTTP_AUTHORIZATION="Bearer secret")
    assert traced.only.name == "GET /v1/bikes/{bike_id}"
    assert traced.only.kind is SpanKind.SERVER
    assert ids(traced.only) == (TRACE, SPAN)
    assert dict(traced.only.attributes or {}) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/v1/bikes/{bike_id}",
        "url.path": "/v1/bikes/1",
        "url.scheme": "http",
    }


@pytest.mark.parametrize(("status", "is_error"), [(404, False), (500, True), (503, True)])
def test_a_request_fails_from_500_on(traced: Traced, status: int, is_error: bool) -> None:
    http(status, None, REQUEST_METHOD="BREW")
    assert traced.only.name == "HTTP"
    assert (traced.only.attributes or {})["http.request.method"] == "_OTHER"
    assert (traced.only.status.status_code is StatusCode.ERROR) == is_error


def test_a_statement_needs_a_trace(traced: Traced) -> None:
    assert tracing.spans().statement("SELECT 1", "bikes") is None
    with tracing.spans().rpc_served("bike_service", "get", {}):
        tracing.spans().statement("select * from bikes WHERE id = %(id)s", "bikes").end()
    statement, call = traced.spans
    assert statement.name == "SELECT bikes"
    assert statement.parent == call.context
    assert dict(statement.attributes or {}) == {
        "db.system.name": "postgresql",
        "db.operation.name": "SELECT",
        "db.query.text": "select * from bikes WHERE id = %(id)s",
        "db.namespace": "bikes",
    }


@pytest.mark.parametrize(("code", "is_error"), [("23505", False), ("57014", True), (None, True)])
def test_a_statement_that_a_constraint_refuses_has_its_answer(traced: Traced, code: str | None, is_error: bool) -> None:
    error: Any = Exception("Key (rider_id)=(rita)")
    error.pgcode = code
    with tracing.spans().rpc_served("bike_service", "get", {}):
        tracing.spans().statement("INSERT", "bikes").end(error)
    assert (traced.spans[0].status.status_code is StatusCode.ERROR) == is_error
    assert "rita" not in str(traced.spans[0].to_json())


def test_what_is_published_belongs_to_a_trace_or_to_none(traced: Traced) -> None:
    with tracing.spans().publishing("positions") as outside, tracing.spans().publishing("events", {}) as stored:
        assert outside.headers == stored.headers == {}
    with tracing.spans().publishing("events", {"traceparent": TRACEPARENT}) as span:
        headers = dict(span.headers)
    assert traced.only.kind is SpanKind.PRODUCER
    assert ids(traced.only) == (TRACE, SPAN)
    assert headers["traceparent"] == f"00-{TRACE}-{traced.only.context.span_id:016x}-01"


def worker(kind: Any, data: dict[str, Any] | None = None, args: tuple[Any, ...] = ()) -> Any:
    """As much of a worker's context as `Traces` looks at."""
    entrypoint = kind.__new__(kind)
    entrypoint.method_name, entrypoint.queue = "work", SimpleNamespace(name="some.queue")
    return type(
        "Context", (), {"data": data or {}, "args": args, "entrypoint": entrypoint, "service_name": "service"}
    )()


def run(worker_ctx: Any, error: Exception | None = None) -> tuple[str, str] | None:
    """The life of a worker; the ids that its log lines have."""
    traces = Traces()
    traces.worker_setup(worker_ctx)
    with tracing.spans().rpc_call("other_service", "method"):
        pass
    traces.worker_result(worker_ctx, None, None if error is None else (type(error), error, None))
    found = tracing.spans().ids()
    traces.worker_teardown(worker_ctx)
    return found


@pytest.mark.parametrize(
    ("kind", "name", "span_kind"),
    [(Rpc, "service/work", SpanKind.SERVER), (EventHandler, "process some.queue", SpanKind.CONSUMER)],
)
def test_a_worker_has_a_span_in_its_callers_trace(traced: Traced, kind: type, name: str, span_kind: SpanKind) -> None:
    context = worker(kind, {"traceparent": TRACEPARENT, "request_id": "r"})
    found = run(context, ValueError())
    call, span = traced.spans
    assert (span.name, span.kind) == (name, span_kind)
    assert ids(span) == (TRACE, SPAN)
    assert call.parent == span.context
    assert found == (TRACE, f"{span.context.span_id:016x}")
    assert span.status.status_code is StatusCode.ERROR
    assert context.data == {"request_id": "r"}
    assert tracing.spans().ids() is None


def test_a_requests_worker_works_for_the_requests_span(traced: Traced) -> None:
    run(worker(HttpRequestHandler, {"traceparent": TRACEPARENT}))
    assert ids(traced.only) == (TRACE, SPAN)


def test_a_timer_records_nothing_here_or_where_it_calls(traced: Traced) -> None:
    context = worker(Timer)
    traces = Traces()
    traces.worker_setup(context)
    with tracing.spans().rpc_call("bike_service", "check_outs") as call:
        headers = dict(call.headers)
    traces.worker_teardown(context)
    served(headers)
    assert traced.spans == []


def test_a_batch_is_linked_to_the_traces_of_its_messages(traced: Traced) -> None:
    other = TRACEPARENT.replace(TRACE, "f" * 32)
    sent = [TRACEPARENT, other, TRACEPARENT, *MALFORMED]
    deliveries = [Delivery(b"", "key", headers={"traceparent": value}) for value in sent]
    run(worker(BatchConsumer, args=(deliveries,)))
    span = traced.spans[-1]
    assert span.parent is None
    assert {f"{link.context.trace_id:032x}" for link in span.links} == {TRACE, "f" * 32}
    assert len(span.links) == 2
    assert (span.attributes or {})["messaging.batch.message_count"] == len(sent)


def test_while_traces_are_off_nothing_happens() -> None:
    context = worker(Rpc, {"traceparent": TRACEPARENT})
    assert run(context) is None
    assert context.data == {"traceparent": TRACEPARENT}
    assert tracing.spans().carrier() == {}
    http(200, "/v1/bikes")
