import pytest

from replay.client import ApiError, Caller, Unavailable
from simulation import trips
from simulation.bikes import standing
from simulation.plan import Errand
from simulation.riders import NOTICED_AFTER_S, Rider, track_of
from simulation.tally import OUTCOME
from simulation.tracks import Waypoint
from simulation.trips import CANCELLED, ENDED, UNKNOWN
from tests.unit.simulated import Company, Impatient, city

ANN = Caller("rider", "ann")
TRACK = [Waypoint(0.0, -72.6, 42.3), Waypoint(0.001, -72.601, 42.3), Waypoint(0.002, -72.602, 42.301)]
ERRAND = Errand(0.0, (-72.6, 42.3), (-72.6001, 42.3), 6.0, (), False)
AT_ONCE = 10_000.0


def test_a_ride_starts_reports_and_ends_where_the_bike_is() -> None:
    company = Company(["b"])
    where = city(company, ["b"], is_alone=True)
    bike = next(iter(where.fleet))
    trip = trips.start(where, bike, ANN, "k")
    assert trip is not None
    assert bike.is_ridden
    trips.ride(where, trip, bike, TRACK, 0.0)
    assert company.paths()[0] == "trips"
    assert company.paths()[-1] == "end"
    assert company.positions["/v1/bikes/b/positions"] == len(trip.accepted) == 3
    assert (trip.status, bike.place, bike.is_ridden) == (ENDED, (-72.602, 42.301), False)
    assert trip.accepted == sorted(trip.accepted)
    assert trip.accepted[0] > trip.started_at
    seen = where.tally.seen()
    assert (seen.active, seen.counts[OUTCOME.positions]) == (0, 3)


def test_the_platform_sends_everybodys_positions_together() -> None:
    company = Company([])
    where = city(company, ["a", "b"])
    told: list[int] = []
    for bike in where.fleet:
        where.reports.report(bike, [standing(bike)], lambda positions: told.append(len(positions)))
    assert company.asked == []
    where.reports.flush()
    where.reports.flush()
    assert company.asked == [("POST", "/v1/positions")]
    assert company.positions["/v1/positions"] == sum(told) == 2


def test_refused_positions_are_counted_as_such_and_not_as_accepted() -> None:
    company = Company([])
    company.statuses["/v1/positions"] = [422]
    where = city(company, ["a"])
    bike = next(iter(where.fleet))
    where.reports.report(bike, [standing(bike)], lambda positions: pytest.fail("accepted"))
    where.reports.flush()
    assert where.tally.seen().counts[OUTCOME.lost] == 1
    assert where.tally.seen().has_failed


def test_a_taken_bike_is_counted_and_the_next_one_ridden() -> None:
    company = Company(["a", "foreign", "b", "c"], taken={"a"})
    where = city(company, ["a", "b", "c"])
    rider = Rider(where, ANN, [ERRAND], AT_ONCE)
    rider.run()
    assert [trip.bike_id for trip in rider.trips] == ["b"]
    assert company.keys == ["ann-1-1", "ann-1-2"]
    assert where.tally.seen().counts[OUTCOME.taken] == 1
    assert rider.errors == []
    assert not where.tally.seen().has_failed


@pytest.mark.parametrize("bikes", [[], ["foreign"], ["a"]])
def test_a_rider_without_a_bike_walks_on(bikes: list[str]) -> None:
    where = city(Company(bikes, taken={"a"}), ["a"])
    rider = Rider(where, ANN, [ERRAND, ERRAND], AT_ONCE)
    rider.run()
    assert rider.trips == []
    assert where.tally.seen().counts[OUTCOME.none_near] == 2


def test_a_mistake_is_short_and_cancelled() -> None:
    errand = ERRAND._replace(end=(-72.61, 42.31), is_mistake=True)
    assert track_of(errand, errand.start, 1.0)[-1].offset_s <= NOTICED_AFTER_S < 100
    assert track_of(errand._replace(is_mistake=False), errand.start, 1.0)[-1].offset_s > 100
    company = Company(["a"])
    rider = Rider(city(company, ["a"], closing=Impatient(1_000_000)), ANN, [errand], AT_ONCE)
    rider.run()
    assert [trip.status for trip in rider.trips] == [CANCELLED]
    assert company.paths()[-1] == "cancel"


def test_when_the_city_closes_a_trip_is_ended_and_no_other_begun() -> None:
    company = Company(["a"])
    far = ERRAND._replace(end=(-72.7, 42.3))
    where = city(company, ["a"], closing=Impatient(2))
    rider = Rider(where, ANN, [far, far, far], 1.0)
    rider.run()
    assert [trip.status for trip in rider.trips] == [ENDED]
    assert where.tally.seen().active == 0


def test_a_refused_end_is_an_error_of_the_ride_whose_trip_is_cancelled() -> None:
    company = Company(["a"])
    where = city(company, ["a"])
    bike = next(iter(where.fleet))
    trip = trips.start(where, bike, ANN, "k")
    assert trip is not None
    company.statuses[f"/v1/trips/{trip.id}/end"] = [500]
    with pytest.raises(ApiError, match="500 no"):
        trips.ride(where, trip, bike, TRACK, 0.0)
    assert (trip.status, bike.is_ridden, where.tally.seen().active) == (CANCELLED, False, 0)


def test_an_unanswered_end_is_asked_again_until_the_city_closes() -> None:
    company = Company(["a"])
    where = city(company, ["a"])
    bike = next(iter(where.fleet))
    trip = trips.start(where, bike, ANN, "k")
    assert trip is not None
    # each is given up at once: it asks to wait for longer than the gateway's patience
    company.statuses[f"/v1/trips/{trip.id}/end"] = [503, 503]
    where.gateway.patience_s = 1.0
    trips.ride(where, trip, bike, TRACK, 0.0)
    assert trip.status == ENDED
    assert where.tally.seen().counts[OUTCOME.unanswered] == 2

    lost = trips.start(where, bike, ANN, "l")
    assert lost is not None
    company.statuses[f"/v1/trips/{lost.id}/end"] = [503]
    where.closing.set()
    with pytest.raises(Unavailable):
        trips.ride(where, lost, bike, TRACK, 0.0)
    assert lost.status == UNKNOWN


def test_an_attempt_is_observed_with_its_status() -> None:
    company = Company(["a"], taken={"a"})
    where = city(company, ["a"])
    assert trips.start(where, next(iter(where.fleet)), ANN, "k") is None
    assert dict(where.tally.seen().statuses) == {409: 1}
    assert not next(iter(where.fleet)).is_ridden
