"""The route and the distance of a trip, as positions arrive: late, repeated, out of order."""

import random
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import accumulate

import pytest

from tests.e2e.client import Client, Json, eventually, ok, parse_time, wait_until
from tests.e2e.geo import TOLERANCE, Place, length_m, shifted
from tests.e2e.telemetry import position, report

StartTrip = Callable[[Client, Json], Json]

GPX = "{http://www.topografix.com/GPX/1/1}"


def ridden(random_: random.Random, trip: Json, count: int) -> list[Json]:
    """Positions in time order, the first at once after the start, a tenth of a second and some 30 m apart."""
    start = parse_time(trip["started_at"]) + timedelta(milliseconds=1)
    times = [start + timedelta(milliseconds=100 * index, microseconds=random_.randrange(999)) for index in range(count)]
    steps = [(random_.uniform(10, 40), random_.uniform(-30, 30)) for _ in range(count)]
    origin = (trip["start_location"]["coordinates"][0], trip["start_location"]["coordinates"][1])
    offsets = accumulate(steps, lambda a, b: (a[0] + b[0], a[1] + b[1]))
    return [position(shifted(origin, *offset), at) for offset, at in zip(offsets, times, strict=True)]


def places(positions: list[Json]) -> list[Place]:
    return [(each["location"]["coordinates"][0], each["location"]["coordinates"][1]) for each in positions]


def times(positions: list[Json]) -> list[datetime]:
    return [parse_time(each["recorded_at"]) for each in positions]


def route(client: Client, trip: Json) -> Json:
    """GeoJSON."""
    response = client.get(f"/v1/trips/{trip['id']}/route")
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"].split(";")[0] in ("application/geo+json", "application/json")
    feature: Json = response.json()
    assert feature["type"] == "Feature"
    return feature


def distance(client: Client, trip: Json) -> float:
    return float(ok(client.get(f"/v1/trips/{trip['id']}"))["distance_m"])


def follows(client: Client, trip: Json, positions: list[Json]) -> bool:
    """Whether the route is exactly these positions, and the distance its length."""
    found = route(client, trip)
    assert [parse_time(time) for time in found["properties"]["recorded_at"]] == times(positions)
    assert found["geometry"]["type"] == "LineString"
    assert len(found["geometry"]["coordinates"]) == len(positions)
    for got, expected in zip(found["geometry"]["coordinates"], places(positions), strict=True):
        assert got == pytest.approx(list(expected), abs=1e-6)
    assert distance(client, trip) == pytest.approx(length_m(places(positions)), rel=TOLERANCE, abs=1.5)
    return True


def end(client: Client, trip: Json) -> Json:
    ended: Json = ok(client.post(f"/v1/trips/{trip['id']}/end"))
    return ended


def test_without_positions_a_route_is_empty(rider: Client, trip: Json) -> None:
    found = route(rider, trip)
    assert found["geometry"] is None
    assert found["properties"]["recorded_at"] == []


def test_one_position_stands_twice(rider: Client, operator: Client, trip: Json, seeded: random.Random) -> None:
    only = ridden(seeded, trip, 1)
    report(operator, trip["bike_id"], only)
    found = eventually(lambda: found if (found := route(rider, trip))["geometry"] else None)
    assert found["geometry"]["type"] == "LineString"
    assert found["geometry"]["coordinates"] == [pytest.approx(list(places(only)[0]))] * 2
    assert [parse_time(time) for time in found["properties"]["recorded_at"]] == times(only) * 2


def test_a_route_follows_the_positions_of_an_active_trip(
    rider: Client, operator: Client, trip: Json, seeded: random.Random
) -> None:
    positions = ridden(seeded, trip, 20)
    report(operator, trip["bike_id"], positions[:10])
    eventually(lambda: follows(rider, trip, positions[:10]))
    report(operator, trip["bike_id"], positions[10:])
    eventually(lambda: follows(rider, trip, positions))
    assert route(operator, trip) == route(rider, trip)


def test_positions_out_of_order_and_repeated_count_once_in_time_order(
    rider: Client, operator: Client, trip: Json, seeded: random.Random
) -> None:
    positions = ridden(seeded, trip, 30)
    mixed = positions + seeded.choices(positions, k=30)
    seeded.shuffle(mixed)
    for first in range(0, len(mixed), 7):
        report(operator, trip["bike_id"], mixed[first : first + 7])
    eventually(lambda: follows(rider, trip, positions))


def test_of_two_positions_with_the_same_time_the_first_is_in_the_route(
    rider: Client, operator: Client, trip: Json, seeded: random.Random
) -> None:
    first, second = ridden(seeded, trip, 2)
    rival = {**second, "recorded_at": first["recorded_at"]}
    report(operator, trip["bike_id"], [first, rival, second])
    eventually(lambda: follows(rider, trip, [first, second]))


def test_late_positions_change_route_and_distance_but_nothing_that_the_end_set(
    rider: Client, operator: Client, trip: Json, seeded: random.Random
) -> None:
    positions = ridden(seeded, trip, 15)
    early, late = positions[::2], positions[1::2]
    report(operator, trip["bike_id"], early)
    eventually(lambda: follows(rider, trip, early))
    wait_until(times(positions)[-1])
    ended = end(rider, trip)
    seeded.shuffle(late)
    report(operator, trip["bike_id"], late)
    eventually(lambda: follows(rider, trip, positions))
    after = ok(rider.get(f"/v1/trips/{trip['id']}"))
    assert after["distance_m"] != ended["distance_m"]
    assert {**after, "distance_m": None} == {**ended, "distance_m": None}
    assert end(rider, trip) == after


def test_what_the_bike_did_before_and_after_is_not_in_the_route(
    rider: Client, operator: Client, trip: Json, seeded: random.Random
) -> None:
    positions = ridden(seeded, trip, 5)
    start = parse_time(trip["started_at"])
    before = position(places(positions)[0], start - timedelta(seconds=1))
    wait_until(times(positions)[-1])
    ended = end(rider, trip)
    after = position(places(positions)[0], parse_time(ended["ended_at"]) + timedelta(seconds=1))
    report(operator, trip["bike_id"], [before, *positions, after])
    eventually(lambda: follows(rider, trip, positions))


def test_each_of_two_trips_of_a_bike_has_its_own_route(
    rider: Client, other_rider: Client, operator: Client, trip: Json, seeded: random.Random, start_trip: StartTrip
) -> None:
    first = ridden(seeded, trip, 4)
    wait_until(times(first)[-1])
    end(rider, trip)
    bike = eventually(
        lambda: found if (found := ok(operator.get(f"/v1/bikes/{trip['bike_id']}")))["status"] == "available" else None
    )
    second_trip = start_trip(other_rider, bike)
    second = ridden(seeded, {**second_trip, "start_location": trip["start_location"]}, 4)
    mixed = first + second
    seeded.shuffle(mixed)
    report(operator, bike["id"], mixed)
    eventually(lambda: follows(rider, trip, first))
    eventually(lambda: follows(other_rider, second_trip, second))


def gpx(client: Client, trip: Json) -> ElementTree.Element:
    response = client.get(f"/v1/trips/{trip['id']}/route", headers={"Accept": "application/gpx+xml"})
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"].split(";")[0] == "application/gpx+xml"
    # the stack under test is no stranger
    document = ElementTree.fromstring(response.content)  # noqa: S314
    assert document.tag == f"{GPX}gpx"
    assert document.get("version") == "1.1"
    assert document.get("creator")
    return document


def test_a_route_is_given_as_gpx_when_asked(rider: Client, operator: Client, trip: Json, seeded: random.Random) -> None:
    positions = ridden(seeded, trip, 6)
    report(operator, trip["bike_id"], positions)
    eventually(lambda: follows(rider, trip, positions))
    points = list(gpx(rider, trip).iter(f"{GPX}trkpt"))
    assert len(points) == len(positions)
    for found, expected in zip(points, positions, strict=True):
        place = float(found.attrib["lon"]), float(found.attrib["lat"])
        assert place == pytest.approx(expected["location"]["coordinates"], abs=1e-6)
        assert parse_time(found.findtext(f"{GPX}time") or "") == parse_time(expected["recorded_at"])


def test_a_route_without_positions_is_gpx_too(rider: Client, trip: Json) -> None:
    assert list(gpx(rider, trip).iter(f"{GPX}trkpt")) == []


def test_microseconds_tell_positions_apart(rider: Client, operator: Client, trip: Json) -> None:
    start = parse_time(trip["started_at"]) + timedelta(milliseconds=5)
    origin = tuple(trip["start_location"]["coordinates"])
    positions = [
        position(shifted((origin[0], origin[1]), 20 * index, 0), start + timedelta(microseconds=index))
        for index in range(5)
    ]
    report(operator, trip["bike_id"], positions)
    eventually(lambda: follows(rider, trip, positions))
