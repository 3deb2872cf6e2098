import gzip
from pathlib import Path

import pytest

from replay.run import by_bike
from replay.source import Point, Ride, SourceError, load, parse, parse_time

HEADER = "trip,bike,recorded_at,longitude,latitude\n"


def lines(*rows: str) -> list[str]:
    return [HEADER, *(f"{row}\n" for row in rows)]


def test_interleaved_rides_come_in_order_of_appearance_and_points_in_order_of_time() -> None:
    rides = parse(
        lines(
            "b,2,2018-06-28 14:00:10,-72.6,42.3",
            "a,1,2018-06-28 14:00:00,-72.5,42.2",
            "b,2,2018-06-28 14:00:05,-72.7,42.4",
        )
    )
    assert [(ride.trip, ride.bike) for ride in rides] == [("b", "2"), ("a", "1")]
    assert [point.longitude for point in rides[0].reports] == [-72.7, -72.6]
    assert rides[0].span_s == 5.0
    assert rides[0].began_ns == parse_time("2018-06-28 14:00:05")


def test_limit_keeps_the_first_rides_whole() -> None:
    rows = ["a,1,2018-06-28 14:00:00,0,0", "b,2,2018-06-28 14:00:00,0,0", "a,1,2018-06-28 14:00:05,0,0"]
    rides = parse(lines(*rows), limit=1)
    assert [(ride.trip, len(ride.reports)) for ride in rides] == [("a", 2)]


def test_of_equal_times_in_a_ride_all_are_reported_and_the_first_in_the_file_counts() -> None:
    (ride,) = parse(lines("a,1,2018-06-28 14:00:00,1,1", "a,1,2018-06-28 14:00:00,2,2"))
    assert [point.longitude for point in ride.reports] == [1, 2]
    assert [point.longitude for point in ride.points] == [1]


def test_a_time_that_an_earlier_ride_of_the_bike_has_is_left_out() -> None:
    first, second = parse(
        lines("a,1,2018-06-28 14:00:00,1,1", "b,1,2018-06-28 14:00:00,2,2", "b,1,2018-06-28 14:00:05,3,3")
    )
    assert [point.longitude for point in first.reports] == [1]
    assert [point.longitude for point in second.reports] == [3]


def test_a_ride_of_nothing_but_repeated_times_stays_a_ride() -> None:
    _, empty = parse(lines("a,1,2018-06-28 14:00:00,1,1", "b,1,2018-06-28 14:00:00,2,2"))
    assert (empty.reports, empty.points, empty.span_s) == ([], [], 0.0)


def test_the_same_time_on_two_bikes_is_no_repetition() -> None:
    assert [len(r.reports) for r in parse(lines("a,1,2018-06-28 14:00:00,1,1", "b,2,2018-06-28 14:00:00,2,2"))] == [
        1,
        1,
    ]


def test_times_keep_nanoseconds() -> None:
    assert parse_time("1970-01-02T00:00:01.5") == 86_401_500_000_000
    assert parse_time("2018-06-28 14:19:08.585999966") % 1_000_000_000 == 585_999_966


@pytest.mark.parametrize("text", ["", "2018-06-28", "2018-06-28 14:00:00Z", "2018-13-28 14:00:00", "20180628T140000"])
def test_what_is_no_local_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no local time|month must be"):
        parse_time(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ([], "first line must be trip,bike"),
        (["a,b\n"], "first line must be trip,bike"),
        (lines(), "holds no rides"),
        (lines("a,1,2018-06-28 14:00:00,0"), "line 2: 4 columns instead of 5"),
        (lines("a,1,2018-06-28 14:00:00,0,0", ",1,2018-06-28 14:00:01,0,0"), "line 3: trip and bike must"),
        (lines("a,1,yesterday,0,0"), "line 2: 'yesterday' is no local time"),
        (lines("a,1,2018-06-28 14:00:00,west,0"), "line 2: 'west' is no number"),
        (lines("a,1,2018-06-28 14:00:00,nan,0"), "nan is not within"),
        (lines("a,1,2018-06-28 14:00:00,0,90.5"), "90.5 is not within -90 and 90"),
        (lines("a,1,2018-06-28 14:00:00,0,0", "a,2,2018-06-28 14:00:01,0,0"), "line 3: trip a is of bike 1 above"),
        (lines('a,"1'), "line 2: "),
    ],
)
def test_bad_rows_are_refused_with_their_line(text: list[str], said: str) -> None:
    with pytest.raises(SourceError, match=said):
        parse(text)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file"),
        (b"trip,bike", "not a whole gzip file"),
        (gzip.compress(HEADER.encode())[:-12], "not a whole gzip file"),
        (gzip.compress(b"\xff\xfe"), "not text in UTF-8"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "rides.csv.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=said) as refused:
        load(path)
    assert str(path) in str(refused.value)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        load(tmp_path)


def test_rides_are_queued_by_bike_in_time_order_the_longest_queue_first() -> None:
    def ride(trip: str, bike: str, start: int, end: int) -> Ride:
        return Ride(trip, bike, start, [Point(start, 0, 0), Point(end, 0, 0)])

    queues = by_bike([ride("a", "1", 0, 5), ride("b", "2", 50, 90), ride("c", "2", 10, 20)])
    assert [[ride.trip for ride in queue] for queue in queues] == [["c", "b"], ["a"]]
