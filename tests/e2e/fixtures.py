"""A shop for each module of tests. All its processes run before each test, and its books are checked after it."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.e2e.shop import Shop
from tests.system.brokers import Broker
from tests.system.otlp import Collector, collecting
from tests.system.running import RunningSystem, Spawner
from tests.system.servers import Databases

StartShop = Callable[[], Shop]
_SHOPS = pytest.StashKey[list[Shop]]()
_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of its shop's processes when a test has failed."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
        for shop in item.stash.get(_SHOPS, []):
            report.sections.extend((f"log of {name}", shop.system.log(name)) for name in shop.system.names)
    return report


@pytest.fixture(scope="module")
def broker_url(broker: Broker) -> Iterator[str]:
    """An empty virtual host of the broker, for a module's shop."""
    url = broker.create()
    yield url
    broker.drop(url)


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """A collector of traces, for a module's shop."""
    with collecting() as begun:
        yield begun


@pytest.fixture(scope="module")
def shop_settings() -> dict[str, Any]:
    """The arguments of `RunningSystem` for a module's shop; a module overrides this fixture."""
    return {}


@pytest.fixture(scope="module")
def _shops(
    shop_settings: dict[str, Any],
    databases: Databases,
    _spawner: Spawner,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator["Shops"]:
    with ExitStack() as stack:

        def start() -> Shop:
            url = databases.create()
            stack.callback(databases.drop, url)
            folder = tmp_path_factory.mktemp("shop")
            return Shop(stack.enter_context(RunningSystem(_spawner, url, folder, **shop_settings)), url)

        yield Shops(start)


class Shops:
    """The module's shop; a new one after a failed test, so that the next test does not fail because of it."""

    def __init__(self, start: StartShop) -> None:
        self._start = start
        self._shop: Shop | None = None

    def open(self) -> Shop:
        """Return a shop in which every process runs."""
        if self._shop is None:
            self._shop = self._start()
        else:
            self._shop.mend()
        return self._shop

    def give_up(self) -> None:
        """Discard the shop after a failure."""
        if self._shop is not None:
            self._shop.system.close()
        self._shop = None


@pytest.fixture
def shop(request: pytest.FixtureRequest, _shops: Shops) -> Iterator[Shop]:
    """The module's shop. At the end of each test every saga must have ended, and the books must balance."""
    shop = _shops.open()
    request.node.stash[_SHOPS] = [shop]
    yield shop
    if request.node.stash.get(_FAILED, False):
        _shops.give_up()
        return
    try:
        shop.mend()
        shop.check_books()
    except BaseException:
        _shops.give_up()
        raise
