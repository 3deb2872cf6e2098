"""Who looks at the map: signing in and out, tokens that are refused or end."""

import re
import time
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.browser.map_page import MapPage
from tests.browser.watching import Watch
from tests.e2e.client import Api, Json, mint
from tests.stack import RunningStack

REFUSED = r"status of 401 .*\(http://127\.0\.0\.1:\d+/v1/stream\)"


def test_a_token_stays_with_the_tab_and_out_of_every_address(
    page: Page, api: Api, watch: Watch, bikes: list[Json]
) -> None:
    token = api.token("operator", "olga")
    live = MapPage(page).open_live(token)
    expect(page.locator("#who")).to_have_text("Operator olga")
    page.reload()
    live.expect_state("Live")
    assert not any(token in url for url in watch.urls)
    assert page.evaluate("localStorage.length + document.cookie.length") == 0
    page.get_by_role("button", name="Sign out").click()
    live.expect_state("Public view")
    expect(page.locator("#search")).to_be_hidden()
    expect(page.locator("#today")).to_be_hidden()
    assert page.evaluate("sessionStorage.length") == 0
    expect(page.get_by_label("Operator's token")).to_be_focused()


def test_a_token_that_the_gateway_refuses(page: Page, watch: Watch, bikes: list[Json]) -> None:
    watch.expected.append(REFUSED)
    MapPage(page).open().sign_in(mint("another secret, of 32 bytes or more", "operator", "eve"))
    expect(page.get_by_role("alert")).to_have_text(re.compile("^The token was refused: "))
    MapPage(page).expect_state("Public view")
    assert page.evaluate("sessionStorage.length") == 0


@pytest.mark.parametrize(
    ("role", "lifetime", "words"),
    [
        ("rider", timedelta(hours=1), "The live map takes a token with the role operator."),
        ("operator", timedelta(seconds=-5), "This token has expired."),
    ],
)
def test_a_token_of_no_use(
    page: Page, stack: RunningStack, bikes: list[Json], role: str, lifetime: timedelta, words: str
) -> None:
    MapPage(page).open().sign_in(mint(stack.jwt_secret, role, "rita", lifetime))
    expect(page.get_by_role("alert")).to_have_text(words)


def test_what_is_no_token(page: Page, bikes: list[Json]) -> None:
    MapPage(page).open().sign_in("open sesame")
    expect(page.get_by_role("alert")).to_have_text("This is no token.")


def test_a_token_that_ends_while_it_is_used(page: Page, stack: RunningStack, bikes: list[Json]) -> None:
    began = time.monotonic()
    live = MapPage(page).open_live(mint(stack.jwt_secret, "operator", "olga", timedelta(seconds=8)))
    expect(page.get_by_role("alert")).to_have_text("Your token has expired. Sign in with a new one.")
    assert time.monotonic() - began < 15
    live.expect_state("Public view")
