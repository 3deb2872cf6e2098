"""The lists of bikes: paging by key, filters, boxes, and what is nearest."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.client import Client, Json, ok, unique
from tests.e2e.geo import TOLERANCE, Place, box, distance_m, far_away, scattered

AddBikes = Callable[[list[Place]], list[Json]]


def ids(items: list[Json]) -> list[str]:
    return [item["id"] for item in items]


def nearest(client: Client, place: Place, **params: Any) -> list[Json]:
    answer = ok(client.get("/v1/bikes", lon=place[0], lat=place[1], **params))
    # not paged
    assert not answer.get("next")
    items: list[Json] = answer["items"]
    return items


# paging


def test_a_walk_sees_each_bike_exactly_once_while_bikes_come_and_change(
    anonymous: Client, operator: Client, add_bikes: AddBikes, seeded: random.Random
) -> None:
    place = far_away()
    there = add_bikes(scattered(seeded, place, 1000, 20))
    seen: list[str] = []
    for page in anonymous.pages("/v1/bikes", bbox=box(place), limit=3):
        assert len(page) <= 3
        seen += ids(page)
        # new ones, and a new name and time of change for one that was there
        add_bikes(scattered(seeded, place, 1000, 2))
        changed = seeded.choice(there)
        ok(operator.patch(f"/v1/bikes/{changed['id']}", {"name": unique("a" if seeded.random() < 0.5 else "z")}))
        # the walk may follow the bikes that it makes, but not for ever
        if len(seen) > 200:
            break
    assert len(seen) == len(set(seen))
    assert set(ids(there)) <= set(seen)


def test_a_list_has_50_items_unless_told(anonymous: Client, add_bikes: AddBikes) -> None:
    place = far_away()
    add_bikes([place] * 51)
    page = ok(anonymous.get("/v1/bikes", bbox=box(place)))
    assert len(page["items"]) == 50
    assert len(ok(anonymous.get("/v1/bikes", bbox=box(place), cursor=page["next"]))["items"]) == 1


def test_a_last_page_has_no_next(anonymous: Client, add_bikes: AddBikes) -> None:
    place = far_away()
    there = add_bikes([place] * 4)
    pages = list(anonymous.pages("/v1/bikes", bbox=box(place), limit=2))
    assert sorted(ids([item for page in pages for item in page])) == sorted(ids(there))


def test_an_unfiltered_list_holds_a_new_bike(anonymous: Client, bike: Json) -> None:
    assert bike["id"] in ids(anonymous.all("/v1/bikes", limit=500))


def test_status_filters(anonymous: Client, operator: Client, add_bikes: AddBikes) -> None:
    place = far_away()
    available, broken = add_bikes([place, place])
    ok(operator.patch(f"/v1/bikes/{broken['id']}", {"status": "out_of_service"}))
    assert ids(anonymous.all("/v1/bikes", bbox=box(place), status="available")) == [available["id"]]
    assert ids(anonymous.all("/v1/bikes", bbox=box(place), status="out_of_service")) == [broken["id"]]
    assert sorted(ids(anonymous.all("/v1/bikes", bbox=box(place)))) == sorted(ids([available, broken]))


# bbox


def in_box(client: Client, bbox: str, bikes: list[Json]) -> list[bool]:
    found = set(ids(client.all("/v1/bikes", bbox=bbox, limit=500)))
    return [bike["id"] in found for bike in bikes]


def test_a_box_holds_what_is_inside(anonymous: Client, add_bikes: AddBikes) -> None:
    lon, lat = far_away()
    bikes = add_bikes([(lon, lat), (lon + 0.02, lat), (lon - 0.02, lat), (lon, lat + 0.02), (lon, lat - 0.02)])
    assert in_box(anonymous, f"{lon - 0.01},{lat - 0.01},{lon + 0.01},{lat + 0.01}", bikes) == [True] + [False] * 4
    assert in_box(anonymous, f"{lon - 0.03},{lat - 0.03},{lon + 0.03},{lat + 0.03}", bikes) == [True] * 5


def test_a_bike_without_location_is_in_no_box(anonymous: Client, operator: Client) -> None:
    nowhere = ok(operator.post("/v1/bikes", {"name": unique()}), 201)
    assert in_box(anonymous, "-180,-90,180,90", [nowhere]) == [False]


def test_a_box_may_cross_the_180th_meridian(anonymous: Client, add_bikes: AddBikes) -> None:
    lat = far_away()[1]
    bikes = add_bikes([(179.995, lat), (-179.995, lat), (180.0, lat), (-180.0, lat), (179.97, lat), (-179.97, lat)])
    south, north = lat - 0.01, lat + 0.01
    assert in_box(anonymous, f"179.99,{south},-179.99,{north}", bikes) == [True] * 4 + [False] * 2
    # the same corners the other way round are the rest of the world
    assert in_box(anonymous, f"-179.99,{south},179.99,{north}", bikes) == [False] * 4 + [True] * 2


@pytest.mark.parametrize("pole", [1, -1], ids=["north", "south"])
def test_a_box_reaches_the_poles(anonymous: Client, add_bikes: AddBikes, pole: int) -> None:
    bikes = add_bikes([(lon, pole * lat) for lat in (90.0, 89.995, 89.98) for lon in (-170.0, 0.0, 170.0)])
    south, north = sorted((pole * 89.99, pole * 90.0))
    assert in_box(anonymous, f"-180,{south},180,{north}", bikes) == [True] * 6 + [False] * 3
    assert in_box(anonymous, f"-10,{south},10,{north}", bikes[3:]) == [False, True, False] + [False] * 3


# nearest first


def assert_nearest(items: list[Json], bikes: dict[str, Place], place: Place, radius: float) -> None:
    """The items are exactly those bikes within the radius, nearest first, with their distances."""
    expected = {bike_id: distance_m(place, where) for bike_id, where in bikes.items()}
    found = [item["id"] for item in items if item["id"] in bikes]
    # at the very rim both answers are right
    assert {id_ for id_, metres in expected.items() if metres <= radius * (1 - TOLERANCE)} <= set(found)
    assert set(found) <= {id_ for id_, metres in expected.items() if metres <= radius * (1 + TOLERANCE)}
    assert len(found) == len(set(found))
    distances = [item["distance_m"] for item in items]
    assert distances == sorted(distances)
    for item in items:
        if item["id"] in bikes:
            assert item["distance_m"] == pytest.approx(expected[item["id"]], rel=TOLERANCE, abs=0.6)


@pytest.mark.parametrize("radius", [None, 250, 1000, 2500])
def test_nearest_agrees_with_brute_force(
    anonymous: Client, add_bikes: AddBikes, seeded: random.Random, radius: int | None
) -> None:
    origin = far_away()
    places = scattered(seeded, origin, 1500, 80)
    bikes = dict(zip(ids(add_bikes(places)), places, strict=True))
    params = {} if radius is None else {"radius": radius}
    for place in scattered(seeded, origin, 1000, 5):
        items = nearest(anonymous, place, limit=500, **params)
        assert {item["id"] for item in items} <= set(bikes)
        assert_nearest(items, bikes, place, 1000 if radius is None else radius)


def test_nearest_with_a_limit_gives_the_nearest_ones(
    anonymous: Client, add_bikes: AddBikes, seeded: random.Random
) -> None:
    origin = far_away()
    places = scattered(seeded, origin, 1500, 60)
    add_bikes(places)
    for place in scattered(seeded, origin, 1000, 3):
        items = nearest(anonymous, place, radius=5000, limit=7)
        expected = sorted(distance_m(place, where) for where in places)[:7]
        assert [item["distance_m"] for item in items] == pytest.approx(expected, rel=TOLERANCE, abs=0.6)


def test_the_widest_radius_is_50_km(anonymous: Client, add_bikes: AddBikes) -> None:
    lon, lat = far_away(60)
    near, far = add_bikes([(lon, lat + 0.44), (lon, lat + 0.46)])
    found = ids(nearest(anonymous, (lon, lat), radius=50_000, limit=500))
    assert near["id"] in found
    assert far["id"] not in found


def test_nearest_crosses_the_180th_meridian(anonymous: Client, add_bikes: AddBikes, seeded: random.Random) -> None:
    origin = 180.0, far_away()[1]
    places = [*scattered(seeded, origin, 1500, 30), origin, (-180.0, origin[1])]
    assert min(lon for lon, _ in places) < 0 < max(lon for lon, _ in places)
    bikes = dict(zip(ids(add_bikes(places)), places, strict=True))
    for place in [origin, (-180.0, origin[1]), *scattered(seeded, origin, 800, 4)]:
        assert_nearest(nearest(anonymous, place, limit=500), bikes, place, 1000)


@pytest.mark.parametrize("pole", [1, -1], ids=["north", "south"])
def test_nearest_works_at_the_poles(anonymous: Client, add_bikes: AddBikes, seeded: random.Random, pole: int) -> None:
    places = [(seeded.uniform(-180, 180), pole * seeded.uniform(89.97, 90.0)) for _ in range(30)]
    places += [(0.0, pole * 90.0), (123.0, pole * 90.0), (-180.0, pole * 89.999)]
    bikes = dict(zip(ids(add_bikes(places)), places, strict=True))
    for place in [(0.0, pole * 90.0), (77.0, pole * 90.0), (-60.0, pole * 89.996), (179.9, pole * 89.999)]:
        assert_nearest(nearest(anonymous, place, radius=1500, limit=500), bikes, place, 1500)


def test_nearest_shows_available_bikes_unless_told(anonymous: Client, operator: Client, add_bikes: AddBikes) -> None:
    place = far_away()
    available, broken = add_bikes([place, place])
    ok(operator.patch(f"/v1/bikes/{broken['id']}", {"status": "out_of_service"}))
    assert ids(nearest(anonymous, place)) == [available["id"]]
    assert ids(nearest(anonymous, place, status="out_of_service")) == [broken["id"]]


def test_a_bike_in_the_very_place_is_0_m_away(anonymous: Client, bike: Json) -> None:
    (item,) = nearest(anonymous, tuple(bike["location"]["coordinates"]), radius=10)
    assert item["id"] == bike["id"]
    assert item["distance_m"] == pytest.approx(0, abs=0.6)
    assert {key: value for key, value in item.items() if key != "distance_m"} == bike
