import io

import pytest
from rich.console import Console

from simulation import display, tally
from simulation.check import Checked
from simulation.display import Display
from simulation.summary import print_summary
from simulation.tally import OUTCOME, Tally


def test_latencies_are_kept_within_5_percent() -> None:
    counts = Tally()
    for milliseconds in range(1, 101):
        counts.answered(200, milliseconds / 1000)
    seen = counts.seen()
    assert seen.latency_s(0.5) == pytest.approx(0.050, rel=0.05)
    assert seen.latency_s(0.99) == pytest.approx(0.099, rel=0.05)
    assert Tally().seen().latency_s(0.99) == 0.0


def test_conflicts_are_no_errors_and_everything_else_over_400_is() -> None:
    counts = Tally()
    for status in (200, 201, 409, 409):
        counts.answered(status, 0.01)
    assert counts.seen().errors == {}
    assert not counts.seen().has_failed
    for answered in (503, None, 422, 503):
        counts.answered(answered, 0.01)
    assert counts.seen().errors == {"none": 1, "422": 1, "503": 2}
    assert counts.seen().requests == 8
    assert counts.seen().has_failed


@pytest.mark.parametrize("name", tally.FAILURES)
def test_what_failed_without_a_status_counts_too(name: str) -> None:
    counts = Tally()
    counts.add(name)
    assert counts.seen().has_failed


def test_what_is_recent_is_the_difference() -> None:
    counts = Tally()
    counts.answered(200, 5.0)
    counts.add(OUTCOME.started)
    before = counts.seen()
    counts.answered(200, 0.01)
    counts.add(OUTCOME.started, 2)
    counts.add(OUTCOME.ended)
    recent = counts.seen().since(before)
    assert (recent.requests, recent.counts[OUTCOME.started]) == (1, 2)
    assert recent.latency_s(1.0) < 0.011
    assert counts.seen().active == 2


def test_away_from_a_terminal_a_line_is_said_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    counts = Tally()
    counts.answered(503, 0.01)
    with Display(Console(file=written), counts, "title") as shown:
        shown.show()
        assert written.getvalue() == ""
        monkeypatch.setattr(shown, "_line_at", 0.0)
        shown.show()
        shown.show()
    assert written.getvalue().count("\n") == 1
    assert "errors 503: 1" in written.getvalue()
    assert "\x1b" not in written.getvalue()


def test_on_a_terminal_it_is_a_table() -> None:
    written = io.StringIO()
    counts = Tally()
    counts.add(OUTCOME.started, 1234)
    with Display(Console(file=written, force_terminal=True, width=90), counts, "title") as shown:
        shown.show()
    assert "1,234" in written.getvalue()
    assert "trips active now" in written.getvalue()


def test_a_summary_is_well_only_without_errors_and_differences() -> None:
    def summary(counts: Tally, checked: Checked, errors: list[str]) -> tuple[bool, str]:
        written = io.StringIO()
        is_well = print_summary(Console(file=written, width=100), counts.seen(), checked, errors)
        return is_well, written.getvalue()

    assert summary(Tally(), Checked(), []) == (True, summary(Tally(), Checked(), [])[1])
    is_well, text = summary(Tally(), Checked(differences=["[x] is lost"] * 12), [])
    assert not is_well
    assert text.count("[x] is lost") == 10
    assert "... and 2 more" in text
    assert not summary(Tally(), Checked(), ["POST /v1/trips: 500 oh"])[0]
    broken = Tally()
    broken.answered(500, 0.1)
    is_well, text = summary(broken, Checked(), [])
    assert not is_well
    assert "500: 1" in text


def test_a_line_says_errors_or_that_there_are_none() -> None:
    seen = Tally().seen()
    assert display.line(seen, seen).endswith("no error")
