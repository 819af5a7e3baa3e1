"""Anything is killed, again and again, under sixty checkouts of every kind: they all end, and the books balance."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from shared.http_client import PEER_FAILED
from shared.testing import wait_until
from tests.e2e.shop import CARRITO, COMPLETED, DECLINED, EXECUTOR, ORCHESTRATOR, QUICK, SOLD_OUT, Shop

CHECKOUTS = 60
KILLS = 12
CUSTOMERS = 6  # at once; the others queue, so that there is load for as long as it takes
STOCK, SCARCE = 1000, 8
USERS = ("ana", "bob")


@pytest.fixture(scope="module")
def shop_settings() -> dict[str, Any]:
    return {"env": QUICK, "copies": {EXECUTOR: 2}}


class Customers:
    """Sixty of them, each wanting something else; what they asked for, by saga."""

    def __init__(self, shop: Shop, chance: random.Random) -> None:
        self._shop = shop
        self.plenty, self.scarce = shop.product(quantity=STOCK), shop.product(quantity=SCARCE)
        methods = ["credit_card"] * 6 + ["paypal", "wallet", "declined_card", "insufficient_funds"]
        self._wishes = []
        for _ in range(CHECKOUTS):
            product = chance.choice([self.plenty, self.plenty, self.scarce])
            cart = shop.cart((product, chance.randint(1, 3)))
            self._wishes.append((cart, chance.choice(methods), chance.choice([CARRITO, ORCHESTRATOR])))
        self._sagas: dict[str, tuple[str, str]] = {}
        self._lock = threading.Lock()
        self._undone: set[str] = set()
        self._chance = chance

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """They insist until they are served; in the end all of them were."""
        with ThreadPoolExecutor(CUSTOMERS) as pool:
            served = [pool.submit(self._insist, *wish) for wish in self._wishes]
            yield
            for each in served:
                each.result()

    @property
    def served(self) -> int:
        """How many were accepted so far."""
        return len(self._sagas)

    def change_a_mind(self) -> None:
        """Undo one of the sagas so far, wherever it is; when nobody answers it isn't asked for again."""
        with self._lock:
            sagas = sorted(self._sagas)
        if sagas:
            saga_id = self._chance.choice(sagas)
            self._undone.add(saga_id)
            try:
                self._shop.compensate(saga_id)
            except PEER_FAILED:
                return

    def check(self) -> None:
        """Each got what there was to be had."""
        assert self.served == CHECKOUTS
        for saga_id, (_, method) in self._sagas.items():
            became = self._shop.became(saga_id)
            if method in {"declined_card", "insufficient_funds"}:
                assert became in {DECLINED, SOLD_OUT} or saga_id in self._undone
            elif saga_id not in self._undone:
                assert became in {COMPLETED, SOLD_OUT} or (method == "wallet" and became == DECLINED)
            assert became == COMPLETED or became.left_nothing

    def _insist(self, cart: str, method: str, way: str) -> None:
        saga_id = self._shop.insist(cart, method, way)
        with self._lock:
            self._sagas[saga_id] = (cart, method)


@pytest.mark.parametrize("seed", [1, 2])
def test_everything_ends_whatever_is_killed(shop: Shop, seed: int) -> None:
    chance = random.Random(seed)
    shop.deposit("60.00")
    customers = Customers(shop, chance)
    victims = [chance.choice(shop.system.names) for _ in range(KILLS)]
    with customers.at_work():
        for number, name in enumerate(victims):
            wait_until(lambda: customers.served >= number * CHECKOUTS // (KILLS + 1), "some more are served")  # noqa: B023
            shop.restart(name)
            if number % 3 == 2:
                customers.change_a_mind()
    shop.until_well()
    shop.until_quiet()
    customers.check()
    available, held, sold = shop.stock(customers.scarce)
    assert (available + sold, held) == (SCARCE, 0)
    assert sold > 0
