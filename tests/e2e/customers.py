"""Customers of every kind, and what each of them must have in the end.

Who pays with a card that is good, for what there is enough of, has it in the end, whatever died meanwhile; only where
customers race for the last pieces, or share a wallet, does it depend on who came first.
"""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from decimal import Decimal

from shared.http_client import PEER_FAILED
from tests.e2e.shop import CARRITO, COMPLETED, DECLINED, PAGOS, PRICE, SOLD_OUT, WINDOWS, Became, Shop

CUSTOMERS = 8  # at once; the others queue, so that there is load for as long as it takes
USERS = {"ana": "60.00", "bob": "90.00"}  # what is in their wallets: enough for some of what they pay with them
PLENTY, SCARCE, GONE = 1000, 8, 3
GOOD, BAD, WALLET = ("credit_card", "debit_card", "paypal"), ("declined_card", "insufficient_funds"), "wallet"
METHODS = (*GOOD, *GOOD, *BAD, WALLET, WALLET)


@dataclass(frozen=True)
class Wish:
    """A checkout that somebody wants, and what may become of it."""

    user: str
    lines: tuple[tuple[int, int], ...]
    cart: str
    method: str
    pattern: str
    way: str
    outcomes: frozenset[Became]

    def of(self, product: int) -> int:
        """How many of a product."""
        return dict(self.lines).get(product, 0)

    @property
    def total(self) -> Decimal:
        """What it costs."""
        return Decimal(PRICE) * sum(quantity for _, quantity in self.lines)


class Customers:
    """They share two wallets, and want the same few products; what each asked for, and got."""

    def __init__(self, shop: Shop, chance: random.Random, checkouts: int) -> None:
        """So many `checkouts`, half of them in each pattern."""
        self._shop, self._chance, self._checkouts = shop, chance, checkouts
        for user, amount in USERS.items():
            shop.deposit(amount, user)
        self._mugs, self._cups = shop.product(PLENTY), shop.product(PLENTY)
        self._scarce, self._gone = shop.product(SCARCE), shop.product(GONE)
        self.wishes = [self._wish(pattern) for _ in range(checkouts // 2) for pattern in WINDOWS]
        self._sagas: dict[str, Wish] = {}
        self._undone: dict[str, bool] = {}  # those who asked for it, and whether they were answered
        self._lock = threading.Lock()
        assert shop.became(shop.buy(self._gone, GONE)) == COMPLETED
        self._before = self._counts()

    def insist(self, wish: Wish) -> None:
        """Ask again until there is an answer."""
        saga_id = self._shop.insist(wish.cart, wish.method, wish.way, wish.pattern, wish.user)
        with self._lock:
            self._sagas[saga_id] = wish

    def change_a_mind(self) -> None:
        """Want one of the sagas so far undone, wherever it is; when nobody answers it isn't asked for again."""
        with self._lock:
            saga_id = self._chance.choice(sorted(self._sagas))
        try:
            answered = self._shop.compensate(saga_id).status == 202
        except PEER_FAILED:
            answered = False
        self._undone[saga_id] = self._undone.get(saga_id, False) or answered

    def check(self) -> None:
        """Each got what the wish demands, once, and all of it adds up."""
        assert self._counts() == {window: count + self._checkouts // 2 for window, count in self._before.items()}
        assert len(self._sagas) == self._checkouts
        with ThreadPoolExecutor(CUSTOMERS) as pool:
            became = dict(zip(self._sagas, pool.map(self._shop.became, self._sagas), strict=True))
        wrong = {saga_id: (self._sagas[saga_id], it) for saga_id, it in became.items() if not self._may(saga_id, it)}
        assert wrong == {}
        done = [wish for saga_id, wish in self._sagas.items() if became[saga_id].saga == "completed"]
        for item, quantity in ((self._mugs, PLENTY), (self._cups, PLENTY), (self._scarce, SCARCE)):
            sold = sum(wish.of(item) for wish in done)
            assert sold > 0
            assert self._shop.stock(item) == (quantity - sold, 0, sold)
        assert self._shop.stock(self._gone) == (0, 0, GONE)
        for user, amount in USERS.items():
            spent = sum(wish.total for wish in done if (wish.user, wish.method) == (user, WALLET))
            assert spent > 0
            wallet = self._shop.get(PAGOS, f"/api/v1/wallets/{user}").body
            assert wallet["balance"] == Decimal(amount) - spent

    def _wish(self, pattern: str) -> Wish:
        """Two products in either order, so that they are wanted at the same time from both ends."""
        choice = self._chance.choice
        products = choice(
            [(self._mugs,), (self._mugs, self._cups), (self._cups, self._mugs), (self._cups, self._scarce)]
        )
        if self._chance.random() < 0.1:
            products = (*products, self._gone)
        lines = tuple((product, self._chance.randint(1, 2)) for product in products)
        user, method, way = choice(list(USERS)), choice(METHODS), choice([CARRITO, WINDOWS[pattern][0]])
        outcomes = {DECLINED} if method in BAD else {COMPLETED, DECLINED} if method == WALLET else {COMPLETED}
        if self._scarce in products:
            outcomes.add(SOLD_OUT)
        if self._gone in products:
            outcomes = {SOLD_OUT}
        each = frozenset(replace(it, reservations=it.reservations * len(lines)) for it in outcomes)
        return Wish(user, lines, self._shop.cart(*lines, user=user), method, pattern, way, each)

    def _counts(self) -> dict[str, int]:
        """How many sagas there are of each pattern."""
        windows = [window for window, _ in WINDOWS.values()]
        return {window: sum(self._shop.get(window, "/audit").body["sagas"].values()) for window in windows}

    def _may(self, saga_id: str, became: Became) -> bool:
        undone = self._undone.get(saga_id)
        if undone is None:
            return became in self._sagas[saga_id].outcomes
        return became.left_nothing or (not undone and became in self._sagas[saga_id].outcomes)
