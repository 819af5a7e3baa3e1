"""PostgreSQL is restarted, and killed, under load: accepted sagas end, and no service needs a restart.

The tests have a server of their own.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from shared.testing import concurrently, wait_until
from stack import servers
from tests.e2e.shop import CARRITO, COMPLETED, DECLINED, ORCHESTRATOR, PAGOS, QUICK, Shop, attempts_of, steps_of
from tests.system.servers import HOME, Databases

POSTGRES = "postgres"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a private PostgreSQL, also where the user has a server."""
    home = tmp_path_factory.mktemp("postgres")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", "")
        told = servers.start(home, only=[POSTGRES])
    (home / "server").write_text(told["DATABASE_URL"])
    yield home
    servers.stop(home)


@pytest.fixture(scope="module")
def databases(home: Path) -> Iterator[Databases]:
    """Databases on that server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOME, str(home))
        made = Databases()
    yield made
    made.close()


@pytest.fixture(scope="module")
def shop_settings() -> dict[str, Any]:
    return {"env": QUICK}


def restart(home: Path) -> None:
    servers.restart(home, POSTGRES)


def kill(home: Path) -> None:
    servers.kill(home, POSTGRES)
    servers.start_one(home, POSTGRES)


HOW = pytest.mark.parametrize("how", [restart, kill], ids=["restarted", "killed"])


@contextmanager
def load(shop: Shop, purchases: list[tuple[str, str, str]]) -> Iterator[list[str]]:
    """Run customers who repeat requests, eight at a time; yield the sagas accepted so far, at the end all of them."""
    accepted: list[str] = []
    sagas: dict[int, str] = {}
    lock = threading.Lock()

    def insist(number: int) -> None:
        saga_id = shop.insist(*purchases[number])
        with lock:
            accepted.append(saga_id)
            sagas[number] = saga_id

    with ThreadPoolExecutor(8) as customers:
        waiting = [customers.submit(insist, number) for number in range(len(purchases))]
        yield accepted
        for each in waiting:
            each.result()
    accepted[:] = [sagas[number] for number in range(len(purchases))]


@HOW
def test_in_the_middle_of_load_every_checkout_ends_as_it_should(
    shop: Shop, home: Path, how: Callable[[Path], None]
) -> None:
    product = shop.product(quantity=1000)
    methods = ("credit_card", "credit_card", "declined_card") * 16
    ways = (CARRITO, ORCHESTRATOR) * 24
    purchases = [(shop.cart((product, 1)), method, way) for method, way in zip(methods, ways, strict=True)]
    with load(shop, purchases) as sagas:
        wait_until(lambda: len(sagas) >= 12, "there is load")
        assert len(sagas) < 40
        how(home)
    shop.until_well()
    for (_, method, _), saga_id in zip(purchases, sagas, strict=True):
        assert shop.became(saga_id) == (DECLINED if method == "declined_card" else COMPLETED)
    assert len(set(sagas)) == len(purchases)
    assert shop.stock(product) == (968, 0, 32)


@HOW
def test_while_a_call_is_under_way_its_saga_goes_on(shop: Shop, home: Path, how: Callable[[Path], None]) -> None:
    product = shop.product()
    cart = shop.cart((product, 1))
    shop.system.freeze(PAGOS)
    saga_id = shop.begin(cart)
    shop.until_requested(saga_id, "process_payment")
    how(home)
    shop.system.thaw(PAGOS)
    shop.until_well()
    assert shop.became(saga_id) == COMPLETED


@HOW
def test_while_nothing_happens_nobody_sees_that_it_was_away(
    shop: Shop, home: Path, how: Callable[[Path], None]
) -> None:
    """Each service has idle connections from before; no request fails because of them."""
    product = shop.product()
    carts = concurrently(*[partial(shop.cart, (product, 1))] * 8)
    shop.until_quiet()
    how(home)
    for saga_id in concurrently(*[partial(shop.begin, cart) for cart in carts]):
        assert shop.became(saga_id) == COMPLETED
        assert attempts_of(shop.saga(saga_id)) == dict.fromkeys(steps_of(shop.saga(saga_id)), 1)


def _is_unwell(shop: Shop, service: str) -> bool:
    return shop.get(service, "/health").status == 503


def test_while_it_is_away_a_checkout_is_refused_clearly(shop: Shop, home: Path) -> None:
    cart = shop.cart((shop.product(), 1))
    servers.stop_one(home, POSTGRES)
    for way in (CARRITO, ORCHESTRATOR):
        reply = shop.checkout(cart, way=way)
        assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
        wait_until(partial(_is_unwell, shop, way), f"{way} says so")
    servers.start_one(home, POSTGRES)
    saga_id = shop.insist(cart)
    shop.until_well()
    assert shop.became(saga_id) == COMPLETED
    assert [saga["saga_id"] for saga in shop.sagas(cart_id=cart)["items"]] == [saga_id]
