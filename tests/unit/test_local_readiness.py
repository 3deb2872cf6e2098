import json

import pytest

from infrastructure.local import ports, readiness
from infrastructure.local.loopback import Health


def health(**checks: str) -> Health:
    return Health(False, "503", json.dumps({"status": "degraded", "checks": checks}))


def test_a_service_that_was_not_chosen_may_be_away():
    answer = health(broker="ok", bike_service="ok", trip_service="unavailable")
    assert readiness.judge(["bike_service"], answer).ready
    assert not readiness.judge(["bike_service", "trip_service"], answer).ready


def test_without_its_broker_nothing_is_ready():
    assert not readiness.judge([], health(broker="unavailable", bike_service="unavailable")).ready


@pytest.mark.parametrize("body", ["", "<html>", "[]", "{}", '{"checks": {}}', '{"checks": null}'])
def test_what_is_no_health_is_not_ready_and_is_shown(body):
    found = readiness.judge(["bike_service"], Health(False, "502 rubbish", body))
    assert not found.ready
    assert "502 rubbish" in found.text


def test_without_a_gateway_the_services_are_asked_and_what_is_wrong_is_said():
    nobody = f"amqp://127.0.0.1:{ports.choose()}/"
    found = readiness.look(["bike_service"], "http://127.0.0.1:1", nobody)
    assert not found.ready
    assert found.text.startswith("bike_service ")
    assert found.text != "bike_service ok"
