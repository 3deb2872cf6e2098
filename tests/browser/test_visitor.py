"""The map as everybody sees it, who has no token."""

import re

from playwright.sync_api import Page, expect

from tests.browser.map_page import MapPage, number
from tests.browser.watching import Watch
from tests.e2e.client import Api, Client, Json, ok


def test_a_visitor_sees_what_the_public_feed_has(
    page: Page, api: Api, operator: Client, watch: Watch, bikes: list[Json]
) -> None:
    rider, ridden, broken = api.rider(), bikes[-2], bikes[-3]
    trip = ok(rider.post("/v1/trips", {"bike_id": ridden["id"]}), 201)
    ok(operator.patch(f"/v1/bikes/{broken['id']}", {"status": "out_of_service"}))
    visitor = MapPage(page).open()
    visitor.expect_state("Public view")
    expect(page.locator("#legend [data-status=out_of_service] .count")).not_to_have_text("0")
    vehicles = feed(api)
    expect(page.locator("#total")).to_have_text(f"{len(vehicles):,}")
    assert visitor.count("in_use") == 0
    assert number(page.locator("#total")) >= len(bikes) - 1
    for hidden in (visitor.search, page.locator("#today")):
        expect(hidden).to_be_hidden()

    # What is free again is there again, without a reload.
    ok(rider.post(f"/v1/trips/{trip['id']}/end"))
    expect(page.locator("#total")).to_have_text(f"{len(vehicles) + 1:,}")
    ok(operator.patch(f"/v1/bikes/{broken['id']}", {"status": "available"}))
    visitor.expect_count("out_of_service", 0)
    assert {re.sub(r"^.*?//[^/]*", "", url).split("/")[1] for url in watch.urls} == {"map", "gbfs"}


def test_a_visitor_looks_at_a_bike(page: Page, bikes: list[Json]) -> None:
    visitor = MapPage(page).open()
    while not page.locator(".leaflet-marker-icon.bike").count():
        page.locator(".cluster").first.click()
    page.locator(".leaflet-marker-icon.bike").first.click()
    expect(visitor.row("State")).to_have_text("Available")
    expect(visitor.row("Position")).to_have_text(re.compile(r"^42\.\d{5}, -72\.\d{5}$"))
    expect(visitor.row("Ride")).to_have_text("none")
    visitor.card.get_by_role("button", name="Close").click()
    expect(visitor.card).to_be_hidden()


def feed(api: Api) -> list[Json]:
    vehicles: list[Json] = ok(api.anonymous.get("/gbfs/3.0/vehicle_status.json"))["data"]["vehicles"]
    return vehicles
