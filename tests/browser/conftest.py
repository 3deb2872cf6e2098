"""A stack of processes with a city of bikes, and a browser that looks at it."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import eventlet.patcher
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser import city
from tests.browser.chromium import running_chromium
from tests.browser.watching import Watch
from tests.e2e.client import Api, Client, Json
from tests.parts import PrivateParts, private_parts
from tests.private import assert_private
from tests.stack import RunningStack, running_stack

if eventlet.patcher.is_monkey_patched("socket"):
    raise pytest.UsageError("The browser's tests need a process of their own: make test-browser.")

__all__ = ["private_parts"]

MANY = 5000
# Of every wait, each for a condition: the gateway may be looked for again every 15 s only.
WAIT_MS = 30_000


@pytest.fixture(scope="session")
def stack(private_parts: PrivateParts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running_stack(private_parts, tmp_path_factory.mktemp("logs")) as running:
        yield running
    assert_private(running)


@pytest.fixture(scope="session")
def api(stack: RunningStack) -> Api:
    return Api(stack)


@pytest.fixture(scope="session")
def operator(api: Api) -> Client:
    return api.operator()


@pytest.fixture(scope="session")
def bikes(operator: Client) -> list[Json]:
    """The city's bikes; a test that changes one leaves it as it was, or takes one of its own."""
    return city.add_bikes(operator, MANY, "City")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=WAIT_MS)
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def context(browser: Browser, stack: RunningStack) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=stack.gateway_url, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(WAIT_MS)
    yield context
    context.close()


@pytest.fixture
def watch(stack: RunningStack) -> Iterator[Watch]:
    """Checked in the end of each test that has a page."""
    watch = Watch()
    yield watch
    watch.check(urlsplit(stack.gateway_url).netloc)


@pytest.fixture
def page(context: BrowserContext, watch: Watch) -> Page:
    page = context.new_page()
    watch.follow(page)
    return page
