"""The command line of the dead-letter tool: what it refuses, and how it says so."""

from pathlib import Path

import pytest

from shared import dead_letter_text, dead_letter_tool
from shared.dead_letters import origin_of


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["look"], "invalid choice: 'look'"),
        (["show"], "show needs a queue"),
        (["requeue"], "requeue needs a queue"),
        (["list", "--limit", "0"], "must be a whole number from 1 on"),
        (["list", "--limit", "many"], "must be a whole number from 1 on"),
        (["list", "--nothing"], "unrecognized arguments: --nothing"),
        (["requeue", "--queue", "q", "--body", "b.json"], "is for requeue of one letter"),
        (["show", "--queue", "q", "--id", "i", "--body", "b.json"], "is for requeue of one letter"),
        (["requeue", "--queue", "q", "--id", "i", "--body", "not-there.json"], "There is no file not-there.json"),
        (["discard", "--queue", "q", "--force"], "discard needs ID, REASON, or ALL=1"),
        (["discard", "--queue", "q", "--all", "--id", "i"], "ALL (--all) is for discard, without ID and REASON"),
        (["list", "--all"], "ALL (--all) is for discard"),
    ],
)
def test_a_wrong_argument_is_one_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert dead_letter_tool.main(arguments, {"AMQP_URI": "amqp://127.0.0.1:1/"}) == 2
    output, errors = capsys.readouterr()
    assert (output, errors.count("\n")) == ("", 1)
    assert said in errors


def test_a_wrong_setting_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert dead_letter_tool.main(["list"], {}) == 2
    assert capsys.readouterr().err == "error: AMQP_URI is not set.\n"


def test_a_broker_that_is_away_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert dead_letter_tool.main(["list", "--queue", "q"], {"AMQP_URI": "amqp://127.0.0.1:1/"}) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("error: the broker is away")
    assert errors.count("\n") == 1


def test_letters_cannot_drive_the_terminal() -> None:
    assert dead_letter_text.plain("a\x1b[2Jb\u202e\n") == "a\\x1b[2Jb\\u202e\n"


def test_the_first_routing_key_counts_for_the_default_exchange_only() -> None:
    headers = {"x-original-routing-key": "bike.1.position"}
    assert origin_of("", "some.queue", headers) == "bike.1.position"
    assert origin_of("positions", "bike.2.position", headers) == "bike.2.position"
    assert origin_of("", "some.queue", {"x-original-routing-key": 7}) == "some.queue"
    assert origin_of("", "some.queue", {}) == "some.queue"
