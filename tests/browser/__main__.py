"""`python -m tests.browser` takes the pictures of the dashboard that README.md and docs/ show, in both themes.

It starts a private stack, has checkouts of every kind run on it, and writes `docs/images/dashboard-*.png`.
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests
from playwright.sync_api import Browser, Page, sync_playwright

from shared.config import ROOT
from shared.saga.states import ENDED
from tests.browser.sagas import STYLES, begun, whole_shop
from tests.browser.viewer import THEMES, Theme, Viewer, chromium, launch
from tests.e2e.shop import ORCHESTRATED, Shop
from tests.system.brokers import broker_of_run
from tests.system.running import DASHBOARD, Spawner
from tests.system.servers import Databases, TestRun

IMAGES = ROOT / "docs" / "images"
HEIGHTS = {"sagas": 900, "saga": 960, "compare": 820}  # px of what each picture shows; all are as wide as the window
MOST_BYTES = 150_000  # so that the README stays quick to load
# Who checks out, how it is paid, and what fails: the last ones of each style are the first in the list.
STORIES = (
    ("ana", "credit_card", ""),
    ("bruno", "declined_card", ""),
    ("carla", "paypal", "process_payment=unavailable*4"),
    ("diego", "debit_card", "create_order=refuse"),
    ("elena", "credit_card", ""),
)
BROKEN = "process_payment=unavailable*4,create_order=refuse"
STUCK = "create_order=refuse,process_payment=fail_undo*1000"


def main() -> int:
    """Take all pictures; return 1 when there is no Chromium, or when a picture is too large."""
    if (path := chromium()) is None:
        print("No Chromium is installed; CHROMIUM can name one.", file=sys.stderr)
        return 1
    IMAGES.mkdir(exist_ok=True)
    with _private_shop() as shop, sync_playwright() as playwright:
        paths = _paths(shop)
        browser = launch(playwright.chromium, path)
        taken = [each for theme in THEMES for each in _pictures(browser, shop.system.url(DASHBOARD), theme, paths)]
    too_large = [each for each in taken if each.stat().st_size > MOST_BYTES]
    for each in taken:
        print(f"{each.relative_to(ROOT)}: {each.stat().st_size:,} bytes")
    return 1 if too_large else 0


@contextmanager
def _private_shop() -> Iterator[Shop]:
    run = TestRun()
    databases, spawner = Databases(), Spawner()
    try:
        folder = Path(tempfile.mkdtemp(dir=run.home))
        with whole_shop(spawner, databases.create(), broker_of_run().create(), folder) as shop:
            yield shop
    finally:
        spawner.close()
        databases.close()
        run.end()


def _paths(shop: Shop) -> Mapping[str, str]:
    """Return the path of each picture's page, after its sagas have reached the wanted state."""
    requests.get(shop.system.url(DASHBOARD), timeout=30)  # its curves show what it reads once somebody has looked
    for user, method, faults in STORIES:
        for style in STYLES:
            shop.until_status(begun(shop, style, user, method, faults), *ENDED)
    both = [begun(shop, style, "fatima", "credit_card", "process_payment=unavailable*2") for style in STYLES]
    for saga in both:
        shop.until_status(saga, *ENDED)
    broken = begun(shop, ORCHESTRATED, "gina", "paypal", BROKEN)
    shop.until_status(broken, *ENDED)
    shop.until_status(begun(shop, ORCHESTRATED, "hugo", "credit_card", STUCK), "stuck")
    return {"sagas": "/", "saga": f"/sagas/{ORCHESTRATED}/{broken}", "compare": "/compare/{}/{}".format(*both)}


def _pictures(browser: Browser, url: str, theme: Theme, paths: Mapping[str, str]) -> Iterator[Path]:
    with Viewer(browser, url, theme=theme) as viewer:
        for name, path in paths.items():
            page = viewer.open(path)
            file = IMAGES / f"dashboard-{name}-{theme}.png"
            _take(page, HEIGHTS[name], file)
            yield file


def _take(page: Page, height: int, file: Path) -> None:
    page.set_viewport_size({"width": 1280, "height": height})
    page.evaluate("document.fonts.ready")
    page.screenshot(path=file)


if __name__ == "__main__":
    sys.exit(main())
