"""Trace context over the broker: through retries of an event, and from stock Nameko clients, whatever they send."""

from collections.abc import Iterator
from typing import Any

import pytest
from nameko.standalone.rpc import ClusterRpcProxy
from opentelemetry.trace import StatusCode

from shared import events
from shared.events import event_handler
from shared.rpc import rpc
from shared.worker_traces import Traces
from tests.conftest import unique_name
from tests.integration import builders
from tests.integration.broker import Broker
from tests.traces import Traced, recording
from tests.waiting import eventually

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
SOURCE, NAME = unique_name("source"), unique_name("service")


class Toy:
    """Fails the first time that it handles an event."""

    name = NAME
    traces = Traces()
    failed: set[str] = set()

    @event_handler(SOURCE, "happened")
    def handle(self, payload: Any) -> None:
        if payload not in self.failed:
            self.failed.add(payload)
            raise ValueError("a defect")

    @rpc
    def greet(self) -> str:
        return "hello"


@pytest.fixture(scope="module", autouse=True)
def _running(amqp_uri: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "DELAYS_S", (1,))
        with builders.running(Toy, amqp_uri):
            yield


@pytest.fixture
def traced() -> Iterator[Traced]:
    with recording() as found:
        yield found


def test_each_attempt_at_an_event_belongs_to_its_trace(amqp_uri: str, traced: Traced) -> None:
    broker = Broker(amqp_uri)
    broker.publish(f"{SOURCE}.events", "happened", "it", headers={"traceparent": TRACEPARENT})
    eventually(lambda: len(traced.spans) == 2)
    broker.close()
    for span in traced.spans:
        assert span.parent is not None
        assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, SPAN)
    assert [span.status.status_code for span in traced.spans] == [StatusCode.ERROR, StatusCode.UNSET]


@pytest.mark.parametrize("sent", [TRACEPARENT, "rubbish", 17, {"a": [1]}, None, "x" * 20_000])
def test_a_stock_client_is_served_whatever_it_sends(amqp_uri: str, traced: Traced, sent: Any) -> None:
    with ClusterRpcProxy({"AMQP_URI": amqp_uri}, context_data={"traceparent": sent}, timeout=5) as proxy:
        assert proxy[NAME].greet() == "hello"
    eventually(lambda: len(traced.spans) == 1)
    assert (f"{traced.only.context.trace_id:032x}" == TRACE) == (sent == TRACEPARENT)
