import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.fields import format_time, parse_time


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-05-01T12:00:00Z", at(2026, 5, 1, 12)),
        ("2026-05-01t12:00:00z", at(2026, 5, 1, 12)),
        ("2026-05-01T12:00:00+02:00", at(2026, 5, 1, 10)),
        ("2026-05-01T12:00:00-23:59", at(2026, 5, 2, 11, 59)),
        ("2026-05-01T12:00:00-00:00", at(2026, 5, 1, 12)),
        ("2026-05-01T12:00:00.5Z", at(2026, 5, 1, 12, 0, 0, 500_000)),
        ("2026-05-01T12:00:00.000001Z", at(2026, 5, 1, 12, 0, 0, 1)),
        ("2026-05-01T12:00:00.1234569Z", at(2026, 5, 1, 12, 0, 0, 123_456)),
        ("2026-05-01T12:00:00." + "9" * 500 + "Z", at(2026, 5, 1, 12, 0, 0, 999_999)),
        ("2024-02-29T00:00:00Z", at(2024, 2, 29)),
        ("0001-01-01T00:00:00Z", at(1, 1, 1)),
        ("9999-12-31T23:59:59.999999Z", at(9999, 12, 31, 23, 59, 59, 999_999)),
    ],
)
def test_an_rfc_3339_time_is_read_as_utc(text: str, moment: datetime) -> None:
    assert parse_time(text) == moment
    assert parse_time(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-05-01",
        "2026-05-01T12:00:00",
        "2026-05-01 12:00:00Z",
        "2026-05-01T12:00Z",
        "2026-05-01T12:00:00.Z",
        "2026-05-01T12:00:00,5Z",
        "2026-05-01T12:00:00+02",
        "2026-05-01T12:00:00+0200",
        "2026-05-01T12:00:00 Z",
        "2026-05-01T12:00:00Z\n",
        " 2026-05-01T12:00:00Z",
        "2026-05-01T12:00:00Z\x00",
        "2026-W18-5T12:00:00Z",
        "26-05-01T12:00:00Z",
        "-2026-05-01T12:00:00Z",
        "12026-05-01T12:00:00Z",
        "٢٠٢٦-05-01T12:00:00Z",
        "2026-05-01T12:00:00\ud800Z",
        "1777636800",
        "now",
        "2026-05-01T12:00:00+01:99",
    ],
)
def test_what_is_not_an_rfc_3339_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Not an RFC 3339 time"):
        parse_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-05-01T24:00:01Z",
        "2026-05-01T12:60:00Z",
        "2016-12-31T23:59:60Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2026-05-01T12:00:00+24:00",
    ],
)
def test_a_time_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Not a time that exists"):
        parse_time(text)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (at(2026, 5, 1, 12), "2026-05-01T12:00:00Z"),
        (at(2026, 5, 1, 12, 0, 0, 500_000), "2026-05-01T12:00:00.500000Z"),
        (datetime(2026, 5, 1, 12, tzinfo=timezone(timedelta(hours=2))), "2026-05-01T10:00:00Z"),
        (at(1, 1, 1), "0001-01-01T00:00:00Z"),
    ],
)
def test_a_time_is_written_in_utc_with_z(moment: datetime, text: str) -> None:
    assert format_time(moment) == text


offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=offsets))
def test_a_time_written_and_read_is_the_same(moment: datetime) -> None:
    assert parse_time(format_time(moment)) == moment
    assert parse_time(moment.isoformat()) == moment


@given(st.integers(0, 26), st.sampled_from("0123456789-+:.TtZz \x00\n\u0661\uff11\ud800"))
def test_a_time_with_one_wrong_character_is_read_or_refused_with_a_reason(index: int, character: str) -> None:
    text = "2026-05-01T12:00:00.000001Z"
    changed = text[:index] + character + text[index + 1 :]
    reason = ""
    try:
        parse_time(changed)
    except ValueError as error:
        reason = str(error)
    assert reason.startswith("Not a") or re.fullmatch(r"[0-9:.TtZz+-]{26,27}", changed)
