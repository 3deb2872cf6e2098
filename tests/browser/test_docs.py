"""The page of the API, in a browser."""

import json

from playwright.sync_api import Page, expect

from tests.e2e.client import Api, Client, Json, ok


def test_a_request_is_tried_out(page: Page, api: Api, operator: Client, bikes: list[Json]) -> None:
    page.goto("/docs")
    page.get_by_label("Bearer token").fill(api.token("operator", "olga"))
    expect(page.locator("#token-note")).to_contain_text("operator olga")
    route = page.locator("details.route", has_text="Change a bike")
    route.locator("summary").first.click()
    route.locator("input[data-name=bike_id]").fill(bikes[-1]["id"])
    route.get_by_label("Body").fill(json.dumps({"status": "out_of_service"}))
    route.get_by_role("button", name="Send").click()
    expect(route.get_by_text("→ 200")).to_be_visible()
    expect(route.locator("[aria-live] pre").first).to_contain_text('"status": "out_of_service"')
    assert ok(operator.get(f"/v1/bikes/{bikes[-1]['id']}"))["status"] == "out_of_service"
    ok(operator.patch(f"/v1/bikes/{bikes[-1]['id']}", {"status": "available"}))
