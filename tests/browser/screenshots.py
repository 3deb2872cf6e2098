"""`make screenshots`: a stack with a city that rides, and docs/images/map-*.png of its map."""

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from playwright.sync_api import Browser, ViewportSize, expect

from tests.browser import city
from tests.browser.chromium import running_chromium
from tests.browser.map_page import MapPage
from tests.e2e.client import Api, Json, ok
from tests.parts import running_parts
from tests.stack import running_stack

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SIZES = {"desktop": ViewportSize(width=1280, height=800), "phone": ViewportSize(width=390, height=844)}
SCHEMES: tuple[Literal["dark", "light"], ...] = ("dark", "light")
BIKES, ENDED, ACTIVE, BROKEN = 800, 60, 90, 12
# The README shows them: they must not weigh.
MAX_BYTES = 200_000


@contextmanager
def riding_city() -> Iterator[tuple[Api, Json]]:
    """A stack whose bikes have been ridden and are; and the bike whose ride has a way."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "logs").mkdir()
        with running_parts(folder / "parts") as parts, running_stack(parts, folder / "logs") as stack:
            api = Api(stack)
            yield api, ride_about(api)


def ride_about(api: Api) -> Json:
    operator = api.operator()
    bikes = city.add_bikes(operator, BIKES, "Northampton")
    for bike in bikes[-BROKEN:]:
        ok(operator.patch(f"/v1/bikes/{bike['id']}", {"status": "out_of_service"}))
    for bike in bikes[ACTIVE : ACTIVE + ENDED]:
        rider = api.rider()
        trip = ok(rider.post("/v1/trips", {"bike_id": bike["id"]}), 201)
        ride(api, bike, 4)
        ok(rider.post(f"/v1/trips/{trip['id']}/end"))
    for bike in bikes[:ACTIVE]:
        ok(api.rider().post("/v1/trips", {"bike_id": bike["id"]}), 201)
    watched = min(bikes[:ACTIVE], key=from_centre)
    ride(api, watched, 40)
    return watched


def from_centre(bike: Json) -> float:
    longitude, latitude = bike["location"]["coordinates"]
    return abs(longitude - city.CENTRE[0]) + abs(latitude - city.CENTRE[1])


def ride(api: Api, bike: Json, steps: int) -> None:
    """A way through some streets, east and north."""
    chance, operator = random.Random(bike["name"]), api.operator()
    longitude, latitude = bike["location"]["coordinates"]
    for _ in range(steps):
        east = chance.random() < 0.5
        longitude += 0.0004 * east
        latitude += 0.0003 * (not east)
        city.report(operator, bike, city.point(longitude, latitude))


def take(browser: Browser, api: Api, bike: Json, size: str, scheme: Literal["dark", "light"]) -> Path:
    context = browser.new_context(
        base_url=api.base_url, viewport=SIZES[size], color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    live = MapPage(page).open_live(api.token("operator", "olga"))
    if size == "desktop":
        live.choose(bike["name"])
        expect(live.way).to_have_attribute("d", re.compile("L"))
        live.search.fill("")
        for _ in range(3):
            page.get_by_role("button", name="Zoom out").click()
    file = IMAGES / f"map-{size}-{scheme}.png"
    page.screenshot(path=file)
    context.close()
    assert file.stat().st_size < MAX_BYTES, f"{file.name} has {file.stat().st_size} bytes"
    return file


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with riding_city() as (api, bike), running_chromium() as browser:
        for size in SIZES:
            for scheme in SCHEMES:
                print(f"docs/images/{take(browser, api, bike, size, scheme).name}")


if __name__ == "__main__":
    main()
