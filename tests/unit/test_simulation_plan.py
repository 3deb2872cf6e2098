from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.distance import path_m
from simulation import plan, stations
from simulation.plan import FASTEST_MPS, SLOWEST_MPS
from simulation.stations import Station
from simulation.tracks import bent, timed

STATIONS = stations.load()


def test_the_same_seed_plans_the_same_and_another_does_not() -> None:
    first = list(islice(plan.errands("a", 7, STATIONS), 50))
    assert list(islice(plan.errands("a", 7, STATIONS), 50)) == first
    assert list(islice(plan.errands("b", 7, STATIONS), 50)) != first
    assert list(islice(plan.errands("a", 8, STATIONS), 50)) != first


def test_the_plan_of_a_seed_is_the_same_in_every_process_and_version() -> None:
    errand = next(plan.errands("a", 7, STATIONS))
    assert (round(errand.wait_s, 6), errand.end) == (18.804312, (-72.59456477720371, 42.1092521110967))


def test_a_rider_walks_from_station_to_station() -> None:
    errands = list(islice(plan.errands("a", 1, STATIONS), 100))
    places = {station.place for station in STATIONS}
    for before, after in pairwise(errands):
        assert after.start == before.end
        assert after.start != after.end
        assert {after.start, after.end} <= places
    assert all(SLOWEST_MPS <= errand.speed_mps <= FASTEST_MPS for errand in errands)
    assert 0 < sum(errand.is_mistake for errand in islice(plan.errands("a", 1, STATIONS), 1000)) < 100


def test_a_rider_far_from_everything_goes_to_the_nearest() -> None:
    lonely = [Station(str(index), "", (0.0, float(index)), 1) for index in range(3)]
    for errand in islice(plan.errands("a", 1, lonely), 20):
        assert abs(errand.start[1] - errand.end[1]) == 1.0


def test_fewer_bikes_are_the_first_of_more() -> None:
    many = plan.bikes("a", 300, STATIONS)
    assert plan.bikes("a", 20, STATIONS) == many[:20]
    assert len({bike.number for bike in many}) == 300
    assert 10 < sum(bike.is_alone for bike in many) < 60


@given(
    st.tuples(st.floats(-170, 170), st.floats(-70, 70)),
    st.floats(-0.03, 0.03),
    st.lists(st.floats(-0.15, 0.15), min_size=7, max_size=7),
    st.floats(3, 6.5),
)
def test_a_track_goes_from_start_to_end_at_its_speed(
    start: tuple[float, float], step: float, bends: list[float], speed: float
) -> None:
    end = (start[0] + step, start[1] + 0.01)
    way = bent(start, end, bends)
    assert len(way) == 9
    assert (way[0], way[-1]) == (start, end)
    track = timed(way, speed, 5.0)
    assert (track[0][1:], track[-1][1:]) == (start, end)
    assert track[-1].offset_s == pytest.approx(path_m(way) / speed)
    for before, after in pairwise(track):
        assert 0 < after.offset_s - before.offset_s <= 5.0 + 1e-6
        # across a bend the way is longer than the straight line
        assert path_m([before[1:], after[1:]]) <= speed * (after.offset_s - before.offset_s) + 0.1


def test_a_way_without_bends_is_straight_and_one_without_length_stays() -> None:
    assert bent((0, 0), (1, 1), ()) == [(0, 0), (1, 1)]
    assert [point.offset_s for point in timed([(5, 5), (5, 5)], 4.0, 5.0)] == [0.0]


def test_the_stations_are_those_of_the_data() -> None:
    assert len(STATIONS) == 54
    assert STATIONS[0].name == "Amherst Town Hall"
    assert STATIONS[0].docks == 16
