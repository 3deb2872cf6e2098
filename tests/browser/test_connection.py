"""A gateway that goes away and comes back, while somebody looks at its map."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import city
from tests.browser.conftest import WAIT_MS
from tests.browser.map_page import LIVE, LOST, MapPage
from tests.browser.watching import Watch
from tests.e2e.client import Api, Client, Json, ok, unique
from tests.stack import RunningStack, free_port, start_service, wait_until_healthy

# What a browser says of a request that nobody answers, or whose answer was cut.
CUT = r"ERR_(CONNECTION_\w+|INCOMPLETE_CHUNKED_ENCODING|EMPTY_RESPONSE)|status of 503"


class Gateway:
    """A second gateway of the stack, to be stopped and started."""

    def __init__(self, stack: RunningStack, folder: Path) -> None:
        address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{address}"
        self._environment = {**stack.environments["gateway_service"], "GATEWAY_ADDRESS": address}
        self._folder = folder
        self.start()

    def start(self) -> None:
        with (self._folder / "gateway_service.log").open("ab") as log:
            self._process = start_service("gateway_service", self._environment, log)
        wait_until_healthy(self.url, [self._process], self._folder)

    def stop(self) -> None:
        self._process.terminate()
        assert self._process.wait(timeout=15) == 0


@pytest.fixture
def gateway(stack: RunningStack, tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(stack, tmp_path)
    yield gateway
    gateway.stop()


def test_a_lost_connection_comes_back(
    browser: Browser, gateway: Gateway, api: Api, operator: Client, bikes: list[Json]
) -> None:
    bike = ok(operator.post("/v1/bikes", {"name": unique("Lost"), "location": city.point(*city.CENTRE)}), 201)
    context = browser.new_context(base_url=gateway.url)
    context.set_default_timeout(WAIT_MS)
    page, watch = context.new_page(), Watch(expected=[CUT])
    watch.follow(page)
    live = MapPage(page).open_live(api.token("operator", "olga")).choose(bike["name"])

    gateway.stop()
    live.expect_state(LOST)
    expect(live.row("State")).to_have_text("Available")
    # It is not told of this.
    ok(operator.patch(f"/v1/bikes/{bike['id']}", {"status": "out_of_service"}))
    place = city.point(city.CENTRE[0] + 0.001, city.CENTRE[1])
    city.report(operator, bike, place)
    gateway.start()

    live.expect_state(LIVE)
    expect(live.row("State")).to_have_text("Out of service")
    expect(live.row("Position")).to_have_text(f"{place['coordinates'][1]:.5f}, {place['coordinates'][0]:.5f}")
    ok(operator.patch(f"/v1/bikes/{bike['id']}", {"status": "available"}))
    expect(live.row("State")).to_have_text("Available")
    watch.check(gateway.url.removeprefix("http://"))
    context.close()
