from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.__main__ import DEFAULT_DATA
from replay.clock import batches, offsets_us
from replay.source import Ride, load

SECOND_NS = 1_000_000_000
ascending = st.lists(st.integers(0, 10**18), min_size=1).map(sorted)


@pytest.fixture(scope="module")
def rides() -> list[Ride]:
    return load(DEFAULT_DATA)


def test_time_is_compressed_from_the_first_point() -> None:
    times = [7 * SECOND_NS, 13 * SECOND_NS, 67 * SECOND_NS]
    assert offsets_us(times, 600) == [0, 10_000, 100_000]
    assert offsets_us(times, 1) == [0, 6_000_000, 60_000_000]


def test_distinct_times_that_would_meet_are_a_microsecond_apart() -> None:
    assert offsets_us([0, 1, 2, SECOND_NS], 1e6) == [0, 1, 2, 3]


def test_equal_times_stay_equal() -> None:
    assert offsets_us([0, 0, SECOND_NS, SECOND_NS], 1) == [0, 0, 1_000_000, 1_000_000]
    assert offsets_us([], 1) == []


@given(ascending, st.floats(0.1, 1e12))
def test_order_and_distinctness_hold_at_any_speed(times: list[int], speed: float) -> None:
    for (a, b), (time_a, time_b) in zip(pairwise(offsets_us(times, speed)), pairwise(times), strict=True):
        assert (a == b) == (time_a == time_b)
        assert a <= b


@pytest.mark.parametrize("speed", [1.0, 600.0, 1e9])
def test_the_default_rides_stay_distinct(rides: list[Ride], speed: float) -> None:
    assert (len(rides), sum(len(ride.points) for ride in rides)) == (215, 36_773)
    for ride in rides:
        assert len(set(offsets_us([point.time_ns for point in ride.reports], speed))) == len(ride.points)


def test_a_batch_ends_when_full_and_when_its_window_is_over() -> None:
    assert batches([0, 1, 2, 3, 4], size=2, window_us=100) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert batches([0, 60, 100, 101, 300], size=9, window_us=100) == [slice(0, 3), slice(3, 4), slice(4, 5)]
    assert batches([], size=2, window_us=100) == []


def test_equal_offsets_share_a_batch_even_when_it_is_full() -> None:
    assert batches([0, 5, 5, 5, 6], size=2, window_us=100) == [slice(0, 4), slice(4, 5)]


@given(ascending, st.integers(1, 5), st.integers(0, 1000))
def test_batches_hold_every_point_once_and_in_order(offsets: list[int], size: int, window_us: int) -> None:
    cuts = batches(offsets, size, window_us)
    assert [offset for cut in cuts for offset in offsets[cut]] == offsets
    assert all(offsets[cut][-1] - offsets[cut][0] <= window_us for cut in cuts)
