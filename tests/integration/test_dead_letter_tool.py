"""Dead letters, as an operator handles them: looked at without harm, sent again, discarded."""

import json
import os
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import amqp
import pytest
from kombu import Connection

from shared import dead_letter_names, dead_letter_office, dead_letter_tool
from shared.dead_letter_office import Selection
from shared.positions import bike_key
from tests.conftest import unique_name
from tests.integration import builders
from tests.integration.broker import Broker
from tests.integration.builders import Json, ago, new_id, point, position
from tests.waiting import eventually

POSITIONS = "bike_service.positions"
ENDED = "evt-trip_service-trip_ended--bike_service.on_trip_ended"
PLACE = (8.51, 47.41)


@pytest.fixture(scope="module")
def bikes(amqp_uri: str, bike_database_url: str) -> Iterator[Any]:
    with builders.bike_service(amqp_uri, bike_database_url) as client:
        yield client


@pytest.fixture
def broker(amqp_uri: str) -> Iterator[Broker]:
    outsider = Broker(amqp_uri)
    yield outsider
    outsider.close()


@pytest.fixture
def tool(amqp_uri: str, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the tool; returns exit code, output and errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = dead_letter_tool.main(list(arguments), {"AMQP_URI": amqp_uri})
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def queue(amqp_uri: str) -> Iterator[str]:
    """A work queue and its dead-letter queue that nobody consumes, named like the work queue."""
    name = unique_name("letters")
    with Connection(amqp_uri) as connection:
        channel = connection.default_channel
        channel.queue_declare(name, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
        arguments = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}
        channel.queue_declare(f"{name}.dead", durable=True, auto_delete=False, arguments=arguments)
        yield name
        for each in (name, f"{name}.dead"):
            channel.queue_delete(each)


def bury(broker: Broker, queue: str, *bodies: str, reason: str = "invalid", **headers: Any) -> None:
    for body in bodies:
        ours = {"x-dead-letter-reason": reason, "x-dead-letter-detail": "A detail.", "x-original-routing-key": "a.key"}
        broker.publish("", f"{queue}.dead", body.encode(), headers={**ours, **headers}, message_id=f"id-{body}")


def count(broker: Broker, queue: str) -> int:
    channel = broker.connection.default_channel
    return int(channel.queue_declare(queue, passive=True).message_count)


def bodies(amqp_uri: str, queue: str) -> list[str]:
    return [letter.body.decode() for letter in dead_letter_office.read(amqp_uri, f"{queue}.dead", Selection())]


def listed(tool: Any, queue: str, *arguments: str) -> Json:
    code, output, _ = tool("list", "--queue", queue, "--json", *arguments)
    assert code == 0
    found: Json = json.loads(output)["queues"][0]
    return found


def test_positions_of_an_unknown_bike_move_it_once_it_exists(bikes: Any, broker: Broker, tool: Any) -> None:
    bike_id, when = new_id(), ago(5)
    broker.report(position(bike_id, when, PLACE), routing_key=bike_key(bike_id))
    eventually(lambda: listed(tool, POSITIONS)["letters"] == 1)
    (letter,) = listed(tool, POSITIONS)["items"]
    assert letter["reason"] == "unknown_bike"
    assert letter["routing_key"] == bike_key(bike_id)
    bikes.add({"id": bike_id})
    code, output, _ = tool("requeue", "--queue", POSITIONS, "--reason", "unknown_bike")
    assert (code, output) == (0, f"Sent again to {POSITIONS}: 1.\n")
    eventually(lambda: bikes.get(bike_id)["location"] == point(PLACE))
    assert listed(tool, POSITIONS)["letters"] == 0


def test_what_is_sent_again_is_still_judged_by_its_first_routing_key(bikes: Any, broker: Broker, tool: Any) -> None:
    """A position of another bike than its message's stays `wrong_bike`, however often it is sent."""
    mine, other = bikes.add()["id"], bikes.add()["id"]
    broker.report(position(other, ago(5), PLACE), routing_key=bike_key(mine))
    eventually(lambda: listed(tool, POSITIONS)["reasons"] == {"wrong_bike": 1})
    (first,) = listed(tool, POSITIONS)["items"]
    assert tool("requeue", "--queue", POSITIONS)[0] == 0
    again = eventually(lambda: listed(tool, POSITIONS)["items"])[0]
    assert (again["id"] != first["id"], again["reason"], again["routing_key"]) == (True, "wrong_bike", bike_key(mine))
    assert bikes.get(other)["location"] is None
    assert tool("discard", "--queue", POSITIONS, "--all", "--force")[0] == 0


def test_a_position_is_repaired_and_sent_again(bikes: Any, broker: Broker, tool: Any, tmp_path: Path) -> None:
    bike_id = bikes.add()["id"]
    broken = {**position(bike_id, ago(5), PLACE), "battery_percent": 900}
    broker.report(broken)
    eventually(lambda: listed(tool, POSITIONS)["reasons"] == {"invalid": 1})
    letter_id = listed(tool, POSITIONS)["items"][0]["id"]
    _, output, _ = tool("show", "--queue", POSITIONS, "--id", letter_id, "--json")
    repaired = json.loads(json.loads(output)["body"])
    repaired["positions"][0]["battery_percent"] = 90
    file = tmp_path / "body.json"
    file.write_text(json.dumps(repaired))
    assert tool("requeue", "--queue", POSITIONS, "--id", letter_id, "--body", str(file))[0] == 0
    eventually(lambda: bikes.get(bike_id)["battery_percent"] == 90)


def test_an_event_goes_to_its_handler_only(bikes: Any, broker: Broker, tool: Any, tmp_path: Path) -> None:
    bike_id, trip_id = bikes.add()["id"], new_id()
    bikes.check_out(bike_id, trip_id, "rita")
    broker.event("trip_service", "trip_ended", {"id": trip_id, "bike_id": bike_id}, version=2)
    eventually(lambda: listed(tool, ENDED)["reasons"] == {"invalid": 1})
    (letter,) = listed(tool, ENDED)["items"]
    assert letter["routing_key"] == "trip_ended"
    _, output, _ = tool("show", "--queue", ENDED, "--json")
    event = json.loads(json.loads(output)["body"])
    repaired = tmp_path / "event.json"
    repaired.write_text(json.dumps({**event, "version": 1}))
    assert tool("requeue", "--queue", ENDED, "--id", letter["id"], "--body", str(repaired))[0] == 0
    eventually(lambda: bikes.get(bike_id)["status"] == "available")
    assert listed(tool, ENDED)["letters"] == 0


def test_looking_takes_nothing_and_changes_no_order(broker: Broker, amqp_uri: str, queue: str, tool: Any) -> None:
    letters = [str(number) for number in range(40)]
    bury(broker, queue, *letters)
    for limit in [40, 3, 7, 12, 1] * 5:  # more often than a broker of today delivers by default
        seen = dead_letter_office.read(amqp_uri, f"{queue}.dead", Selection(limit=limit))
        assert [letter.body.decode() for letter in seen] == letters[:limit]
    listed(tool, queue)
    tool("show", "--queue", queue, "--limit", "3")
    assert bodies(amqp_uri, queue) == letters


def test_looking_holds_one_letter_at_a_time_however_many_and_large_they_are(
    broker: Broker, queue: str, tool: Any
) -> None:
    size, number = 100_000, 200
    for each in range(number):
        broker.publish("", f"{queue}.dead", b"x" * size, message_id=f"id-{each}")
    for arguments in (("list",), ("list", "--limit", "1"), ("show", "--limit", "1"), ("requeue", "--limit", "1")):
        tracemalloc.start()
        assert tool(*arguments, "--queue", queue)[0] == 0
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < size * number / 4, arguments
    assert count(broker, f"{queue}.dead") == number - 1


def test_list_says_how_many_by_reason_and_nothing_of_the_bodies(broker: Broker, queue: str, tool: Any) -> None:
    bury(broker, queue, "home-address", "b", **{"x-dead-lettered-at": "2026-05-01T12:00:00Z"})
    bury(broker, queue, "c", reason="unreadable", **{"x-dead-lettered-at": "2026-05-01T11:00:00Z"})
    code, output, _ = tool("list", "--queue", queue, "--limit", "2")
    assert code == 0
    assert output.startswith(f"{queue}.dead: 3\n  invalid 2, unreadable 1; the oldest from 2026-05-01T11:00:00Z\n")
    assert re.search(r"12 bytes  A detail\.", output)
    assert output.endswith("... and 1 more (LIMIT)\n")
    assert "-address" not in output.replace("id-home-address", "")


def test_requeue_takes_what_is_selected_and_leaves_the_rest_in_order(
    broker: Broker, amqp_uri: str, queue: str, tool: Any
) -> None:
    bury(broker, queue, "a", "b")
    bury(broker, queue, "c", "d", "e", reason="unreadable")
    bury(broker, queue, "f")
    assert tool("requeue", "--queue", f"{queue}.dead", "--reason", "unreadable", "--limit", "2")[0] == 0
    assert bodies(amqp_uri, queue) == ["a", "b", "e", "f"]
    assert count(broker, queue) == 2


def test_requeue_sends_what_the_publisher_wrote(broker: Broker, queue: str, tool: Any) -> None:
    ours = {"x-dead-letter-reason": "invalid", "x-dead-letter-detail": "A detail.", "x-dead-lettered-at": "now"}
    marks = {"x-attempt": 4, "x-death": [{"reason": "expired"}], "x-first-death-queue": "some"}
    headers = {"nameko.request_id": "r-1", "x-original-routing-key": "bike.1.position", **ours, **marks}
    broker.publish("", f"{queue}.dead", b"body", headers=headers, message_id="m-1", timestamp=1_790_000_000)
    assert tool("requeue", "--queue", queue)[0] == 0
    message = eventually(lambda: amqp.Channel.basic_get(broker.connection.default_channel, queue, no_ack=True))
    properties = dict(message.properties)
    expected = {"nameko.request_id": "r-1", "x-original-routing-key": "bike.1.position"}
    sent = properties.pop("application_headers")
    assert sent.pop("x-delivery-count") == 0, "the broker's, who counts anew"
    assert sent == expected
    assert (message.body, properties["message_id"], properties["timestamp"]) == ("body", "m-1", 1_790_000_000)
    assert properties["delivery_mode"] == 2


def test_who_is_killed_half_way_loses_nothing(broker: Broker, amqp_uri: str, queue: str) -> None:
    letters = [str(number) for number in range(300)]
    bury(broker, queue, *letters)
    environment = {**os.environ, "AMQP_URI": amqp_uri}
    command = [sys.executable, "-W", "ignore", "-m", "shared.dead_letter_tool", "requeue", "--queue", queue]
    tool = subprocess.Popen(command, env=environment, cwd=Path(__file__).parents[2])
    eventually(lambda: count(broker, queue) > 5, timeout=30)
    tool.kill()
    tool.wait()
    sent: list[str] = []

    def all_there() -> bool:
        while (message := broker.take(queue)) is not None:
            sent.append(str(message.body))
        return len(sent) + count(broker, f"{queue}.dead") >= len(letters)

    eventually(all_there)
    left = bodies(amqp_uri, queue)
    assert left == letters[len(letters) - len(left) :]
    assert set(sent) | set(left) == set(letters)
    assert 0 < len(left) < len(letters)
    assert len(sent) + len(left) <= len(letters) + 1


def test_without_the_work_queue_the_letters_stay(broker: Broker, amqp_uri: str, queue: str, tool: Any) -> None:
    bury(broker, queue, "a", "b")
    broker.connection.default_channel.queue_delete(queue)
    code, _, errors = tool("requeue", "--queue", queue)
    assert (code, errors.count("\n")) == (1, 1)
    assert f"There is no queue {queue} to send to" in errors
    assert bodies(amqp_uri, queue) == ["a", "b"]


def test_discard_takes_what_is_selected(broker: Broker, amqp_uri: str, queue: str, tool: Any) -> None:
    bury(broker, queue, "a", "b", "c")
    assert tool("discard", "--queue", queue, "--id", "id-b")[0] == 2, "asks, and there is no terminal"
    assert tool("discard", "--queue", queue, "--id", "id-b", "--force")[:2] == (
        0,
        f"Discarded from {queue}.dead: 1.\n",
    )
    assert bodies(amqp_uri, queue) == ["a", "c"]
    assert tool("discard", "--queue", queue, "--id", "id-b", "--force")[0] == 1


def test_a_queue_that_is_not_there_is_said(tool: Any) -> None:
    code, output, errors = tool("show", "--queue", "nobody.knows")
    assert (code, output, errors) == (2, "", "error: There is no queue nobody.knows.dead.\n")


def test_the_queues_of_all_services_are_known() -> None:
    assert {f"{POSITIONS}.dead", "trip_service.positions.dead", f"{ENDED}.dead"} <= set(dead_letter_names.known())
