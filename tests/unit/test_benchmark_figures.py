"""The arithmetic of the benchmarks: percentiles, marks, merged runs, what wrk and pgbench print."""

import struct

import pytest

from benchmarks import amqp_load, answers, fleet, measure, rows, telemetry, wrk
from benchmarks.__main__ import parser, read
from benchmarks.bench import Settings
from benchmarks.errors import BenchmarkError, UsageError
from benchmarks.figures import median, percentile
from benchmarks.limits import pgbench
from benchmarks.marks import Mark
from benchmarks.measure import Measurement, Sample
from benchmarks.registry import choose, load
from benchmarks.usage import Usage

WRK_LINE = (
    'wrk-result {"requests": 1200, "duration_us": 4000000, "p50_us": 41000, "p99_us": 95500, "connect": 0, "read": 0, '
    '"write": 0, "status": 0, "timeout": 0, "wrong": 0}'
)
PGBENCH = """\
transaction type: read.sql
number of transactions actually processed: 24848
number of failed transactions: 0 (0.000%)
latency average = 1.610 ms
initial connection time = 60.155 ms
tps = 12424.000000 (without initial connection time)
"""


def measurement(name: str = "ours", rate: float = 10.0, p50_ms: float | None = None) -> Measurement:
    return Measurement(name, int(rate * 10), 10.0, p50_ms, None, {}, {})


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (1, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)])
def test_a_percentile_is_the_value_that_so_many_do_not_exceed(percent, value):
    assert percentile(list(range(100, 0, -1)), percent) == value


def test_a_percentile_of_one_value_is_that_value():
    assert percentile([7.0], 50) == percentile([7.0], 99) == 7.0


def test_the_median_of_an_even_number_lies_between_the_middle_two():
    assert median([9, 1, 2, 4]) == 3
    assert median([9, 1, 4]) == 4


@pytest.mark.parametrize("figure", [lambda: percentile([], 50), lambda: median([])])
def test_there_is_no_figure_of_nothing(figure):
    with pytest.raises(ValueError, match="of nothing"):
        figure()


@pytest.mark.parametrize(
    ("mark", "value", "is_reached"),
    [
        (Mark(at_least=4.5), 4.5, True),
        (Mark(at_least=4.5), 4.49, False),
        (Mark(at_most=1.2), 1.2, True),
        (Mark(at_most=1.2), 1.21, False),
        (Mark(more_than=26_000), 26_000, False),
        (Mark(more_than=26_000), 26_001, True),
        (Mark(less_than=5), 5, False),
        (Mark(less_than=5), -1, True),
        (Mark(at_least=1), float("nan"), False),
        (Mark(at_most=1), float("nan"), False),
    ],
)
def test_a_mark_is_reached_or_not(mark, value, is_reached):
    assert mark.is_reached(value) is is_reached


def test_a_mark_says_what_it_asks_for():
    assert str(Mark(at_least=4.5)) == "≥ 4.5"
    assert str(Mark(more_than=26_000)) == "> 26,000"
    assert str(Mark(at_least=1 / 3, at_most=5)) == "≥ 0.333 ≤ 5"


def test_a_row_is_judged_by_the_ratio_of_the_rates():
    row = rows.faster("read_one", "req/s", measurement(rate=30), measurement("stock", 10), Mark(at_least=3))
    assert (row.ours, row.baseline, row.judged, row.is_reached) == (30, 10, 3, True)
    assert row.as_json()["mark"] == "≥ 3"


def test_a_row_without_a_baseline_or_without_a_mark():
    assert rows.judged("rides", "p99 / p50", "fold", 5.0, Mark(less_than=5)).is_reached is False
    assert rows.faster("scale", "req/s", measurement(), measurement(), None).is_reached is None
    nothing = rows.faster("x", "req/s", measurement(), measurement("stock", 0), Mark(at_least=3))
    assert nothing.is_reached is False


def test_runs_of_one_contender_are_added_up():
    merged = measure.merge(
        "ours",
        [
            (Sample(100, 1.0, 10.0, 20.0), Usage({"gateway": 0.2, "load": 0.1}, {"gateway": 80})),
            (Sample(300, 3.0, 30.0, 60.0), Usage({"gateway": 0.6, "load": 0.3}, {"gateway": 90})),
        ],
    )
    assert (merged.rate, merged.p50_ms, merged.p99_ms) == (100, 20, 40)
    assert merged.cpu == pytest.approx({"gateway": 0.002, "load": 0.001})
    assert merged.peak == {"gateway": 90}


def test_contenders_run_alternately_after_each_has_warmed_up():
    calls: list[tuple[str, float]] = []

    def contender(name: str) -> measure.Contender:
        def run(seconds: float) -> Sample:
            calls.append((name, seconds))
            return Sample(1, seconds)

        return measure.Contender(name, run, dict)

    measure.alternate([contender("a"), contender("b")], rounds=2, seconds=4, warm_up_s=1)
    assert calls == [("a", 1), ("b", 1), ("a", 4), ("b", 4), ("a", 4), ("b", 4)]


def test_what_wrk_prints_is_read():
    result = wrk.parse(f"Running 4s test @ http://127.0.0.1\n  1 threads\n{WRK_LINE}\n")
    assert (result.requests, result.duration_s, result.p50_ms, result.p99_ms) == (1200, 4.0, 41.0, 95.5)
    wrk.judge("read_one", result)


@pytest.mark.parametrize("name", ["connect", "read", "write", "status", "timeout", "wrong"])
def test_any_error_fails_the_run(name):
    output = WRK_LINE.replace(f'"{name}": 0', f'"{name}": 2') + '\nwrk-wrong 500 {"detail": "oh"}'
    with pytest.raises(BenchmarkError, match=f'2 {name}. 500 {{"detail": "oh"}}'):
        wrk.judge("read_one", wrk.parse(output))


def test_no_answers_fail_the_run():
    with pytest.raises(BenchmarkError, match="no answers"):
        wrk.judge("read_one", wrk.parse(WRK_LINE.replace("1200", "0")))


def test_wrk_without_a_result_fails_the_run():
    with pytest.raises(BenchmarkError, match="printed no result: unable to connect"):
        wrk.parse("unable to connect")


def test_a_machine_without_wrk_is_told_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match="apt-get install wrk"):
        wrk.check_installed()


def test_what_pgbench_prints_is_read():
    assert pgbench.parse(PGBENCH) == Sample(24848, 2.0)


@pytest.mark.parametrize("output", ["", PGBENCH.replace("failed transactions: 0", "failed transactions: 3")])
def test_a_failed_transaction_fails_the_run(output):
    with pytest.raises(BenchmarkError, match="pgbench reports"):
        pgbench.parse(output)


def test_reports_never_repeat_a_bike_and_time():
    reports = telemetry.Reports(fleet.bike_ids(3))
    first, second = reports.take(7), reports.take(5)
    keys = [(each.bike_id, each.recorded_at) for each in first + second]
    assert len(set(keys)) == 12
    assert max(each.recorded_at for each in first) < min(each.recorded_at for each in second)
    assert [each.recorded_at for each in first] == sorted(each.recorded_at for each in first)


def test_the_ids_of_bikes_are_those_that_the_database_makes():
    # md5('bike-0')::uuid of PostgreSQL
    assert fleet.bike_id(0) == "0ad25aa4-3335-339e-71f2-078af1869d12"


def test_a_larger_fleet_stands_as_densely():
    assert fleet.side(10_000) == fleet.SIDE
    assert fleet.side(1_000_000) == pytest.approx(10 * fleet.SIDE)


def test_frames_are_those_of_amqp():
    data = amqp_load.frames("positions", "bike.x.position", b"{}", 1_700_000_000)
    kind, channel, size = struct.unpack(">BHI", data[:7])
    assert (kind, channel, data[7 + size]) == (1, 1, 0xCE)
    assert data[7:11] == struct.pack(">HH", 60, 40)
    assert data.endswith(struct.pack(">BHI", 3, 1, 2) + b"{}\xce")


def test_answers_are_compared_without_what_differs_between_stacks():
    one = {"id": "a", "created_at": "2026-01-01T00:00:00Z", "located_at": "2026-01-01T00:00:00Z", "n": 1}
    other = {"id": "a", "created_at": "2026-02-01T00:00:00Z", "located_at": "2026-03-01T00:00:00Z", "n": 1.0}
    assert answers.normal(one) == answers.normal(other)
    assert answers.normal(one) != answers.normal({**other, "located_at": None})
    assert answers.normal(one) != answers.normal({**other, "n": 2})


def test_every_workload_is_found_and_the_long_ones_wait_to_be_asked_for():
    known = load()
    names = {workload.name for workload in known}
    assert {"read_one", "nearest", "rides", "positions_batch", "positions_amqp", "positions_single"} <= names
    assert {"events", "nearest_million", "storage_growth", "memory", "scale"} <= names
    assert "storage_growth" not in {workload.name for workload in choose(known, Settings())}
    assert "storage_growth" in {workload.name for workload in choose(known, Settings(long=True))}
    assert [each.name for each in choose(known, Settings(only=("storage_growth",)))] == ["storage_growth"]


@pytest.mark.parametrize("settings", [Settings(only=("nothing",)), Settings(parameters={"memory.nothing": 1})])
def test_what_does_not_exist_is_refused(settings):
    with pytest.raises(UsageError, match="There is no"):
        choose(load(), settings)


def test_options_become_settings():
    settings = read(
        parser().parse_args(["--only", "rides, events", "--seconds", "1", "--set", "memory.requests=1_000"])
    )
    assert settings.only == ("rides", "events")
    assert (settings.seconds, settings.warm_up_s, settings.parameters) == (1.0, 1.0, {"memory.requests": 1000})


@pytest.mark.parametrize("arguments", [["--seconds", "0"], ["--rounds", "0"], ["--set", "memory.requests=many"]])
def test_wrong_options_are_named(arguments):
    with pytest.raises(UsageError, match=r"SECONDS_EACH|SET"):
        read(parser().parse_args(arguments))
