"""The map as its reader uses it: what can be done there, and what it says."""

import re

from playwright.sync_api import Locator, Page, expect

LIVE = "Live"
LOST = re.compile("Connection lost")


class MapPage:
    """`page`: where the map is opened."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def open(self) -> "MapPage":
        self.page.goto("/map")
        return self

    def sign_in(self, token: str) -> "MapPage":
        """Give a token, whatever comes of it."""
        self.page.get_by_label("Operator's token").fill(token)
        self.page.get_by_role("button", name="Sign in").click()
        return self

    def open_live(self, token: str) -> "MapPage":
        """The map of an operator, with all bikes on it."""
        self.open().sign_in(token).expect_state(LIVE)
        expect(self.page.locator(".cluster, .bike").first).to_be_visible()
        expect(self.page.locator("#total")).not_to_have_text(re.compile("^0?$"))
        return self

    def choose(self, name: str) -> "MapPage":
        """The bike of exactly this name, by the search."""
        self.search.fill(name)
        self.page.locator("#search-results button").filter(has=self.page.get_by_text(name, exact=True)).click()
        expect(self.card.get_by_role("heading")).to_have_text(name)
        return self

    @property
    def search(self) -> Locator:
        return self.page.get_by_label("Name of the bike")

    @property
    def card(self) -> Locator:
        return self.page.locator("#card")

    @property
    def way(self) -> Locator:
        """The chosen bike's ride as it is drawn."""
        return self.page.locator("path.ride")

    @property
    def dot(self) -> Locator:
        """The chosen bike's place on the map."""
        return self.page.locator("path.chosen")

    def row(self, name: str) -> Locator:
        """A value of the card."""
        return self.card.locator(f"[data-row='{name}']")

    def figure(self, name: str) -> Locator:
        return self.page.locator(f"#figure-{name}")

    def count(self, status: str) -> int:
        """How many bikes of a status the legend says that there are."""
        return number(self.page.locator(f"#legend [data-status={status}] .count"))

    def expect_count(self, status: str, count: int) -> None:
        expect(self.page.locator(f"#legend [data-status={status}] .count")).to_have_text(f"{count:,}")

    def expect_state(self, state: str | re.Pattern[str]) -> None:
        expect(self.page.locator("#state")).to_have_text(state)


def number(shown: Locator) -> int:
    return int(shown.inner_text().replace(",", ""))
