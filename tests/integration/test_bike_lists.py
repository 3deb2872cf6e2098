"""bike_service by RPC: lists with filters, boxes and key paging, and the nearest bikes."""

import math
import random
from collections.abc import Iterator
from typing import Any

import pytest

from shared.fields import Point
from shared.geodesy import EARTH_RADIUS_M, great_circle_m
from tests.integration import builders
from tests.integration.builders import ANONYMOUS, OPERATOR, new_id, point, query, rider, walk

# A token's subject is any text.
NOT_A_BIKE = {"role": "vehicle", "sub": "not a bike"}
WORLD = [-180, -90, 180, 90]


@pytest.fixture(scope="module")
def client(amqp_uri: str, bike_database_url: str) -> Iterator[Any]:
    with builders.bike_service(amqp_uri, bike_database_url) as service:
        yield service


@pytest.fixture
def bikes(client: Any, bike_database_url: str) -> Any:
    """The service with an empty fleet."""
    query(bike_database_url, "DELETE FROM bikes")
    return client


def add(bikes: Any, *places: Point | None) -> list[str]:
    rows = [{} if place is None else {"location": point(place)} for place in places]
    return [bike["id"] for bike in bikes.add_many(rows)["items"]]


def ids(items: list[Any]) -> list[str]:
    return [item["id"] for item in items]


def test_a_list_is_empty_without_bikes(bikes: Any) -> None:
    assert bikes.list() == {"items": [], "next": None}


def test_a_list_has_whole_bikes(bikes: Any) -> None:
    [bike_id] = add(bikes, (8.5, 47.4))
    assert bikes.list()["items"] == [bikes.get(bike_id)]


def test_a_list_holds_50_bikes_unless_told_otherwise(bikes: Any) -> None:
    add(bikes, *[None] * 51)
    page = bikes.list()
    assert len(page["items"]) == 50
    assert len(bikes.list(cursor=page["next"])["items"]) == 1


@pytest.mark.parametrize("limit", [1, 7, 20, 21])
def test_paging_shows_each_bike_once(bikes: Any, limit: int) -> None:
    added = add(bikes, *[None] * 20)
    assert sorted(ids(walk(bikes.list, limit=limit))) == sorted(added)


def test_bikes_that_are_there_during_the_whole_walk_are_seen_once(bikes: Any) -> None:
    added = add(bikes, *[None] * 30)
    seen: list[str] = []
    cursor = None
    while True:
        page = bikes.list(limit=4, cursor=cursor)
        seen += ids(page["items"])
        if (cursor := page["next"]) is None:
            break
        add(bikes, *[None] * 3)
        bikes.change(seen[0], {"name": new_id()})
    assert sorted(set(seen) & set(added)) == sorted(added)
    assert len(seen) == len(set(seen))


def test_retired_bikes_are_listed_only_for_who_asks(bikes: Any) -> None:
    there, gone, out = add(bikes, (8, 47), (8, 47), (8, 47))
    bikes.retire(gone)
    bikes.change(out, {"status": "out_of_service"})
    assert set(ids(bikes.list()["items"])) == {there, out}
    assert set(ids(bikes.list(bbox=WORLD)["items"])) == {there, out}
    assert ids(bikes.list(status="retired")["items"]) == [gone]
    assert ids(bikes.list(status="out_of_service")["items"]) == [out]
    assert ids(bikes.list(status="available", bbox=WORLD)["items"]) == [there]
    assert bikes.list(status="reserved")["items"] == []


def test_a_box_holds_its_edges_and_nothing_beyond(bikes: Any) -> None:
    inside = add(bikes, (8, 47), (9, 48), (8, 48), (8.5, 47.5))
    add(bikes, (7.9999999, 47.5), (9.0000001, 47.5), (8.5, 46.9999999), (8.5, 48.0000001), (-8.5, 47.5), None)
    assert set(ids(bikes.list(bbox=[8, 47, 9, 48])["items"])) == set(inside)


def test_a_box_may_be_a_point(bikes: Any) -> None:
    [inside, _] = add(bikes, (8.123456, 47.654321), (8.123457, 47.654321))
    assert ids(bikes.list(bbox=[8.123456, 47.654321, 8.123456, 47.654321])["items"]) == [inside]


def test_a_box_may_cross_the_meridian(bikes: Any) -> None:
    inside = add(bikes, (179, 0), (180, 0), (-180, 1), (-179, -1), (178.5, 0), (-178.5, 0))
    add(bikes, (178.4, 0), (-178.4, 0), (0, 0), (179, 1.1))
    crossing = [178.5, -1, -178.5, 1]
    assert set(ids(bikes.list(bbox=crossing)["items"])) == set(inside)
    assert set(ids(walk(bikes.list, bbox=crossing, limit=2))) == set(inside)


def test_a_box_does_not_give_away_who_rides_in_it(bikes: Any) -> None:
    parked, ridden = add(bikes, (8, 47), (8, 47))
    bikes.check_out(ridden, new_id(), "rita")
    box = [7, 46, 9, 48]
    for viewer in (None, OPERATOR, rider("rita"), {"role": "vehicle", "sub": ridden}):
        assert set(ids(bikes.list(bbox=box, viewer=viewer)["items"])) == {parked, ridden}
    for viewer in (ANONYMOUS, rider("rolf"), {"role": "vehicle", "sub": parked}, {"role": "rider"}, NOT_A_BIKE):
        assert ids(bikes.list(bbox=box, viewer=viewer)["items"]) == [parked]
        unboxed = {bike["id"]: bike["location"] for bike in bikes.list(viewer=viewer)["items"]}
        assert unboxed == {parked: point((8, 47)), ridden: None}


# Poles, meridian and equator among places anywhere, so that each centre has neighbours on all sides.
CENTRES: list[Point] = [(8.54, 47.37), (179.9999, 0.0), (-180.0, 65.0), (0.0, 90.0), (123.0, -90.0), (0.0, 0.0)]


def scattered(random_: random.Random, centre: Point) -> Point:
    """A place up to a few kilometres around, over pole and meridian too."""
    if abs(centre[1]) == 90:
        return random_.uniform(-180, 180), centre[1] - random_.uniform(0, 0.1) * (1 if centre[1] > 0 else -1)
    longitude = centre[0] + random_.uniform(-0.1, 0.1)
    return (longitude + 180) % 360 - 180, centre[1] + random_.uniform(-0.05, 0.05)


def test_the_nearest_are_just_those_that_brute_force_finds(bikes: Any) -> None:
    random_ = random.Random(20180601)
    places = [place for centre in CENTRES for place in [centre, *(scattered(random_, centre) for _ in range(60))]]
    fleet = dict(zip(add(bikes, *places), places, strict=True))
    for bike_id in random_.sample(sorted(fleet), 40):
        bikes.change(bike_id, {"status": "out_of_service"})
        del fleet[bike_id]
    for centre in CENTRES:
        for radius in (0, 700, 5000, 50_000):
            here = scattered(random_, centre) if radius else centre
            distances = {bike_id: great_circle_m(here, place) for bike_id, place in fleet.items()}
            expected = sorted((d, bike_id) for bike_id, d in distances.items() if d <= radius)
            found = bikes.near(lat=here[1], lon=here[0], radius=radius, limit=500)
            assert found["next"] is None
            assert set(ids(found["items"])) == {bike_id for _, bike_id in expected}
            assert [item["distance_m"] for item in found["items"]] == pytest.approx(
                [distance for distance, _ in expected], abs=0.01
            )


def test_the_nearest_of_many_come_first(bikes: Any) -> None:
    added = add(bikes, *[(8 + step / 10_000, 47.0) for step in range(30)])
    near = bikes.near(lat=47, lon=8, radius=50_000, limit=5)["items"]
    assert ids(near) == added[:5]
    assert [item["distance_m"] for item in near] == sorted(item["distance_m"] for item in near)
    assert {name: value for name, value in near[1].items() if name != "distance_m"} == bikes.get(added[1])


@pytest.mark.parametrize("centre", [(8.0, 47.0), (180.0, 10.0), (0.0, 89.999)])
def test_the_radius_is_kept_to_the_metre(bikes: Any, centre: Point) -> None:
    def south(metres: float) -> Point:
        return centre[0], centre[1] - math.degrees(metres / EARTH_RADIUS_M)

    inside, _ = add(bikes, south(999.9), south(1000.1))
    assert ids(bikes.near(lat=centre[1], lon=centre[0])["items"]) == [inside]


def test_only_bikes_to_rent_are_near_unless_told_otherwise(bikes: Any) -> None:
    free, out, gone = add(bikes, (8, 47), (8, 47), (8, 47))
    bikes.change(out, {"status": "out_of_service"})
    bikes.retire(gone)
    add(bikes, None)
    assert ids(bikes.near(lat=47, lon=8)["items"]) == [free]
    assert ids(bikes.near(lat=47, lon=8, status="out_of_service")["items"]) == [out]
    assert ids(bikes.near(lat=47, lon=8, status="retired")["items"]) == [gone]


def test_a_bike_in_use_is_near_only_for_those_who_may_know(bikes: Any) -> None:
    [ridden, _] = add(bikes, (8, 47), (8, 47))
    bikes.check_out(ridden, new_id(), "rita")
    for viewer in (None, OPERATOR, rider("rita"), {"role": "vehicle", "sub": ridden}):
        assert ids(bikes.near(lat=47, lon=8, status="in_use", viewer=viewer)["items"]) == [ridden]
    for viewer in (ANONYMOUS, rider("rolf"), {"role": "vehicle", "sub": new_id()}, {"role": "rider"}, NOT_A_BIKE):
        assert bikes.near(lat=47, lon=8, status="in_use", viewer=viewer)["items"] == []


def test_hidden_bikes_take_no_place_in_a_list_of_the_nearest(bikes: Any) -> None:
    theirs, mine = add(bikes, (8, 47), (8.001, 47))
    bikes.check_out(theirs, new_id(), "rolf")
    bikes.check_out(mine, new_id(), "rita")
    found = bikes.near(lat=47, lon=8, status="in_use", limit=1, viewer=rider("rita"))
    assert ids(found["items"]) == [mine]


@pytest.mark.parametrize("place", [(5e-324, 0.0), (0.0, -5e-324), (1e-310, 89.999), (-180.0, 1e-300)])
def test_a_place_next_to_nothing_can_be_kept_and_searched_from(bikes: Any, place: Point) -> None:
    longitude, latitude = place
    added = add(bikes, place)
    assert ids(bikes.near(lat=latitude, lon=longitude)["items"]) == added
