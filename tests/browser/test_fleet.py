"""An operator's map: many bikes, one that moves, a ride that is watched from its start to its end."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser import city
from tests.browser.map_page import MapPage, number
from tests.browser.watching import Watch
from tests.e2e.client import Api, Client, Json, ok, unique


@pytest.fixture
def own_bike(operator: Client) -> Json:
    """One in the middle of the city."""
    fields = {"name": unique("Watched"), "location": city.point(*city.CENTRE), "battery_percent": 64}
    return ok(operator.post("/v1/bikes", fields), 201)


@pytest.fixture
def live(page: Page, api: Api, bikes: list[Json]) -> MapPage:
    return MapPage(page).open_live(api.token("operator", "olga"))


def moved(bike: Json, metres_east: float) -> Json:
    longitude, latitude = bike["location"]["coordinates"]
    return city.point(longitude + metres_east / 82_300, latitude)


def test_thousands_are_shown_in_clusters_that_open(live: MapPage, bikes: list[Json]) -> None:
    page = live.page
    total = number(page.locator("#total"))
    assert total >= len(bikes)
    in_clusters = sum(int(text) for text in page.locator(".cluster").all_inner_texts())
    assert in_clusters + page.locator(".leaflet-marker-icon.bike").count() == total
    assert page.locator(".leaflet-marker-icon").count() < 200
    page.locator(".cluster.large").first.click()
    expect(page.locator(".cluster.large")).to_have_count(0)


def test_the_page_answers_while_everything_moves(live: MapPage, operator: Client, bikes: list[Json]) -> None:
    watched = live.choose(bikes[0]["name"])
    for step in range(3):
        city.report_many(operator, {bike["id"]: moved(bike, 10 * step) for bike in bikes})
    expect(watched.row("Position")).to_have_text(place_text(moved(bikes[0], 20)))
    live.choose(bikes[1]["name"])


def test_a_bike_moves(live: MapPage, operator: Client, own_bike: Json) -> None:
    live.choose(own_bike["name"])
    expect(live.row("State")).to_have_text("Available")
    expect(live.row("Battery")).to_have_text("64 %")
    before = live.dot.bounding_box()
    city.report(operator, own_bike, moved(own_bike, 100))
    expect(live.row("Position")).not_to_have_text(place_text(own_bike["location"]))
    after = live.dot.bounding_box()
    assert before is not None
    assert after is not None
    assert after["x"] - before["x"] > 30
    assert abs(after["y"] - before["y"]) < 2
    expect(live.row("Heard of")).to_have_text(re.compile(r"^\d s ago$"))


def test_a_ride_is_watched(live: MapPage, api: Api, operator: Client, own_bike: Json) -> None:
    live.choose(own_bike["name"])
    expect(live.row("Ride")).to_have_text("none")
    in_use, rides, active = live.count("in_use"), number(live.figure("rides")), number(live.figure("active"))
    available = live.count("available")
    bar = live.page.locator("rect[data-rides]")
    counted = sum(int(each.get_attribute("data-rides") or 0) for each in bar.all())

    rider = api.rider()
    trip = ok(rider.post("/v1/trips", {"bike_id": own_bike["id"]}), 201)
    live.expect_count("in_use", in_use + 1)
    live.expect_count("available", available - 1)
    expect(live.figure("rides")).to_have_text(f"{rides + 1:,}")
    expect(live.figure("active")).to_have_text(f"{active + 1:,}")
    expect(live.row("State")).to_have_text("In use")
    expect(live.row("Ride")).to_have_text(re.compile("^since .*, 0 m$"))
    assert sum(int(each.get_attribute("data-rides") or 0) for each in bar.all()) == counted + 1

    for step in (1, 2, 3):
        place = moved(own_bike, 60 * step)
        city.report(operator, own_bike, place)
        expect(live.row("Position")).to_have_text(place_text(place))
    expect(live.row("Ride")).to_have_text(re.compile(r"^since .*, 1[12]\d m$"))
    expect(live.way).to_have_attribute("d", re.compile("L"))

    ok(rider.post(f"/v1/trips/{trip['id']}/end"))
    expect(live.row("State")).to_have_text("Available")
    expect(live.row("Ride")).to_have_text(re.compile("^ended at "))
    live.expect_count("in_use", in_use)
    expect(live.figure("active")).to_have_text(f"{active:,}")
    expect(live.figure("rides")).to_have_text(f"{rides + 1:,}")


def test_a_ride_that_began_before_is_drawn(page: Page, api: Api, operator: Client, own_bike: Json, bikes: list[Json]):
    rider = api.rider()
    trip = ok(rider.post("/v1/trips", {"bike_id": own_bike["id"]}), 201)
    for step in (1, 2):
        city.report(operator, own_bike, moved(own_bike, 60 * step))
    live = MapPage(page).open_live(api.token("operator")).choose(own_bike["name"])
    expect(live.row("Ride")).to_have_text(re.compile(r"^since .*, \d+ m$"))
    expect(live.way).to_have_attribute("d", re.compile("L"))
    ok(rider.post(f"/v1/trips/{trip['id']}/end"))


def test_a_bike_that_is_added_and_retired(live: MapPage, operator: Client, own_bike: Json) -> None:
    live.choose(own_bike["name"])
    ok(operator.patch(f"/v1/bikes/{own_bike['id']}", {"status": "out_of_service"}))
    expect(live.row("State")).to_have_text("Out of service")
    total = number(live.page.locator("#total"))
    assert operator.delete(f"/v1/bikes/{own_bike['id']}").status_code == 204
    expect(live.card).to_be_hidden()
    expect(live.page.locator("#total")).to_have_text(f"{total - 1:,}")


def test_a_status_is_hidden(live: MapPage) -> None:
    live.page.get_by_label("Available").uncheck()
    expect(live.page.locator(".leaflet-marker-icon.bike.available")).to_have_count(0)
    expect(live.page.locator(".cluster.large")).to_have_count(0)
    live.page.get_by_label("Available").check()
    expect(live.page.locator(".cluster.large").first).to_be_visible()


def test_by_keyboard_alone(page: Page, api: Api, bikes: list[Json]) -> None:
    MapPage(page).open()
    keyboard = page.keyboard
    keyboard.press("Tab")
    expect(page.get_by_label("Operator's token")).to_be_focused()
    keyboard.insert_text(api.token("operator", "olga"))
    keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_be_focused()
    live = MapPage(page)
    live.expect_state("Live")
    keyboard.press("Tab")
    expect(live.search).to_be_focused()
    keyboard.type("city 123")
    expect(page.locator("#search-count")).to_have_text(re.compile("^11 found"))
    keyboard.press("Tab")
    first = page.locator("#search-results button").first
    expect(first).to_be_focused()
    assert first.evaluate("node => getComputedStyle(node).outlineStyle") == "solid"
    keyboard.press("Enter")
    expect(live.card).to_be_focused()
    expect(live.card.get_by_role("heading")).to_have_text("City 123")
    for name in ("Show on the map", "Close"):
        while not page.get_by_role("button", name=name).evaluate("node => node === document.activeElement"):
            keyboard.press("Tab")
    keyboard.press("Enter")
    expect(live.card).to_be_hidden()


def test_a_cluster_opens_by_keyboard(live: MapPage) -> None:
    live.page.locator(".cluster.large").first.focus()
    live.page.keyboard.press("Enter")
    expect(live.page.locator(".cluster.large")).to_have_count(0)


def test_no_name_becomes_part_of_the_page(live: MapPage, operator: Client, watch: Watch) -> None:
    name = f"{unique('Odd')} <img src=x onerror=alert(1)>"
    bike = ok(operator.post("/v1/bikes", {"name": name, "location": city.point(*city.CENTRE)}), 201)
    live.choose(name)
    assert live.page.locator("img").count() == 0
    operator.delete(f"/v1/bikes/{bike['id']}")
    expect(live.card).to_be_hidden()


def place_text(location: Json) -> str:
    longitude, latitude = location["coordinates"]
    return f"{latitude:.5f}, {longitude:.5f}"
