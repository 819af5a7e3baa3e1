"""One shop of real processes, and one browser, for all tests of this folder."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.sagas import whole_shop
from tests.browser.viewer import PATIENCE_MS, Viewer, chromium, launch
from tests.e2e.faulty import lift
from tests.e2e.fixtures import _SHOPS, pytest_runtest_makereport
from tests.e2e.shop import CARRITO, INVENTARIO, PAGOS, Shop
from tests.system.brokers import Broker
from tests.system.running import DASHBOARD, Spawner
from tests.system.servers import Databases

__all__ = ["pytest_runtest_makereport"]

OpenViewer = Callable[..., Viewer]


@pytest.fixture(scope="package")
def _browser() -> Iterator[Browser]:
    if (path := chromium()) is None:
        pytest.skip("no Chromium is installed (Debian: apt install chromium); CHROMIUM can name one")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        yield launch(playwright.chromium, path)


@pytest.fixture(scope="package")
def _shop(
    _browser: Browser, databases: Databases, broker: Broker, _spawner: Spawner, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    url, database = broker.create(), databases.create()
    with whole_shop(_spawner, database, url, tmp_path_factory.mktemp("shop")) as started:
        yield started
    broker.drop(url)
    databases.drop(database)


@pytest.fixture
def shop(request: pytest.FixtureRequest, _shop: Shop) -> Iterator[Shop]:
    """Yield the shop before each test: every process runs, and no fault is switched on."""
    request.node.stash[_SHOPS] = [_shop]
    yield _shop
    _shop.mend()
    for service in (CARRITO, INVENTARIO, PAGOS):
        lift(_shop, service)


@pytest.fixture
def viewer(shop: Shop, _browser: Browser) -> Iterator[OpenViewer]:
    """Open windows of the browser by `viewer(theme=…, url=…)`. At the end, fail for what their pages did wrong."""
    with ExitStack() as stack:

        def open_one(**how: Any) -> Viewer:
            return stack.enter_context(Viewer(_browser, how.pop("url", shop.system.url(DASHBOARD)), **how))

        yield open_one
