"""How the map looks: on a phone, in dark and light, with tiles and without."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from tests.browser.map_page import MapPage
from tests.browser.watching import Watch
from tests.e2e.client import Api, Json
from tests.stack import RunningStack, free_port, running_services

PHONE = ViewportSize(width=390, height=844)
TILES = "http://tiles.example.org"
# A single pixel.
TILE = bytes.fromhex("47494638396101000100800000000000ffffff2c00000000010001000002024401003b")


def test_a_phone_shows_all_without_scrolling_sideways(
    browser: Browser, stack: RunningStack, api: Api, watch: Watch, bikes: list[Json]
) -> None:
    context = browser.new_context(base_url=stack.gateway_url, viewport=PHONE, has_touch=True, is_mobile=True)
    page = context.new_page()
    watch.follow(page)
    live = MapPage(page).open_live(api.token("operator", "olga"))
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    box = page.locator("#map").bounding_box()
    assert box is not None
    assert box["width"] == PHONE["width"]
    assert box["y"] + box["height"] < PHONE["height"]
    live.choose("City 17")
    expect(page.locator("#today")).to_be_visible()
    context.close()


def test_dark_and_light_are_the_readers_choice(
    browser: Browser, stack: RunningStack, watch: Watch, bikes: list[Json]
) -> None:
    brightness = {}
    for scheme in ("dark", "light"):
        context = browser.new_context(base_url=stack.gateway_url, color_scheme=scheme)
        page = context.new_page()
        watch.follow(page)
        MapPage(page).open()
        for part in ("body", "#map"):
            colour = page.locator(part).evaluate("node => getComputedStyle(node).backgroundColor")
            brightness[scheme, part] = sum(int(level) for level in colour.strip("rgb()").split(","))
        context.close()
    for part in ("body", "#map"):
        assert brightness["dark", part] < 200
        assert brightness["light", part] > 600


@pytest.fixture
def tiled(stack: RunningStack, tmp_path: Path) -> Iterator[str]:
    """The address of a gateway of the same stack that has tiles."""
    address = f"127.0.0.1:{free_port()}"
    tiles = {"MAP_TILES": f"{TILES}/{{z}}/{{x}}/{{y}}.gif", "MAP_ATTRIBUTION": "© <a href='/docs'>Somebody</a>"}
    environment = {**stack.environments["gateway_service"], "GATEWAY_ADDRESS": address, **tiles}
    with running_services(f"http://{address}", tmp_path, {"gateway_service": environment}):
        yield f"http://{address}"


def test_tiles_come_from_the_host_that_is_set_and_from_no_other(
    browser: Browser, tiled: str, bikes: list[Json]
) -> None:
    context = browser.new_context(base_url=tiled)
    context.route(f"{TILES}/**", lambda route: route.fulfill(body=TILE, content_type="image/gif"))
    page, watch = context.new_page(), Watch()
    watch.follow(page)
    MapPage(page).open().expect_state("Public view")
    tile = page.locator("img.leaflet-tile-loaded").first
    expect(tile).to_be_visible()
    assert tile.evaluate("node => node.naturalWidth") == 1
    expect(page.get_by_role("link", name="Somebody")).to_be_visible()
    page.get_by_role("button", name="Zoom in").click()
    expect(page.locator("img.leaflet-tile").first).to_be_visible()
    assert watch.hosts == {urlsplit(tiled).netloc, urlsplit(TILES).netloc}
    assert watch.complaints == []
    refused = page.evaluate(
        "new Promise(done => { document.addEventListener('securitypolicyviolation', e => done(e.violatedDirective));"
        " new Image().src = 'http://elsewhere.example.org/x.gif'; })"
    )
    assert refused == "img-src"
    context.close()
