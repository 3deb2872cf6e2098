"""The browser that the tests drive: Debian's Chromium, or the one that CHROMIUM names."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser")
MISSING = "Chromium is not installed (apt-get install chromium), nor named by CHROMIUM"
# Nothing of its own accord: what is asked for in a test, the page has asked for.
ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find() -> str | None:
    """The path of the program, None when there is none."""
    given = os.environ.get("CHROMIUM", "")
    if given:
        return given if Path(given).is_file() else None
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """Raises FileNotFoundError where there is none."""
    program = find()
    if program is None:
        raise FileNotFoundError(f"{MISSING}.")
    # Its sandbox refuses root.
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*ARGUMENTS, *sandbox])
        try:
            yield browser
        finally:
            browser.close()
