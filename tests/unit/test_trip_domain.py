from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trip_service.domain import EndedBy, Status, Tariff, duration_s, refusal_to_cancel, refusal_to_end

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
TARIFF = Tariff(Decimal("1.00"), Decimal("0.20"), "EUR")

amounts = st.decimals(0, 10_000, places=2)
durations = st.integers(0, 366 * 86_400)
moments = st.datetimes(timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("seconds", "fare"),
    [
        (0, "1.00"),
        (1, "1.20"),
        (59, "1.20"),
        (60, "1.20"),
        (61, "1.40"),
        (120, "1.40"),
        (121, "1.60"),
        (86_400, "289.00"),
    ],
)
def test_a_fare_is_the_unlock_fee_and_each_started_minute(seconds: int, fare: str) -> None:
    assert str(TARIFF.fare(seconds)) == fare


@pytest.mark.parametrize(
    ("unlock", "per_minute", "fare"),
    [("0.00", "0.00", "0.00"), ("0.00", "0.10", "0.30"), ("1.10", "2.20", "7.70"), ("999999.99", "0.01", "1000000.02")],
)
def test_three_minutes_cost_what_decimals_add_up_to(unlock: str, per_minute: str, fare: str) -> None:
    assert str(Tariff(Decimal(unlock), Decimal(per_minute), "EUR").fare(180)) == fare


@given(amounts, amounts, durations, durations)
def test_a_longer_ride_is_never_cheaper(unlock: Decimal, per_minute: Decimal, a: int, b: int) -> None:
    tariff = Tariff(unlock, per_minute, "EUR")
    assert unlock <= tariff.fare(min(a, b)) <= tariff.fare(max(a, b))


@given(amounts, amounts, st.integers(0, 500_000), st.integers(1, 60))
def test_every_second_of_a_minute_costs_the_same_to_the_cent(
    unlock: Decimal, per_minute: Decimal, minutes: int, second: int
) -> None:
    fare = Tariff(unlock, per_minute, "EUR").fare(60 * minutes + second)
    assert int(fare * 100) == int(unlock * 100) + int(per_minute * 100) * (minutes + 1)
    assert fare.as_tuple().exponent == -2


@pytest.mark.parametrize(
    ("taken", "seconds"),
    [
        (timedelta(0), 0),
        (timedelta(microseconds=1), 1),
        (timedelta(seconds=59, microseconds=999_999), 60),
        (timedelta(minutes=1), 60),
        (timedelta(minutes=1, microseconds=1), 61),
        (timedelta(days=400), 34_560_000),
        (timedelta(days=400_000, microseconds=1), 34_560_000_001),
        (timedelta(microseconds=-1), 0),
        (timedelta(days=-1), 0),
    ],
)
def test_a_started_second_counts_and_time_never_runs_backwards(taken: timedelta, seconds: int) -> None:
    assert duration_s(START, START + taken) == seconds


@given(moments, moments)
def test_a_duration_is_less_than_a_second_more_than_what_passed(a: datetime, b: datetime) -> None:
    start, end = min(a, b), max(a, b)
    seconds = duration_s(start, end)
    assert timedelta(0) <= timedelta(seconds=seconds) - (end - start) < timedelta(seconds=1)
    assert type(seconds) is int


@pytest.mark.parametrize(
    ("status", "end", "cancel"),
    [
        ("active", None, None),
        ("ended", None, "The trip has ended."),
        ("cancelled", "The trip was cancelled.", None),
    ],
)
def test_what_each_status_forbids(status: str, end: str | None, cancel: str | None) -> None:
    assert (refusal_to_end(status), refusal_to_cancel(Status(status))) == (end, cancel)


def test_the_words_are_those_of_the_contract() -> None:
    assert {str(status) for status in Status} == {"active", "ended", "cancelled", "void"}
    assert {str(by) for by in EndedBy} == {"rider", "operator", "system"}
