"""Customers of every kind, and what each of them must have in the end.

Who pays with a card that is good, for what there is enough of, has it in the end, whatever died meanwhile; only where
customers race for the last pieces, or share a wallet, does it depend on who came first.
"""

import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from decimal import Decimal

from shared.http.client import PEER_FAILED
from tests.e2e.shop import CARRITO, COMPLETED, DECLINED, PAGOS, PRICE, SOLD_OUT, WINDOWS, Became, Shop

CUSTOMERS = 8  # at once; the others queue, so that there is load for as long as it takes
# What is in their wallets for each checkout there will be: enough for some of what they pay with them.
USERS = {"ana": Decimal("0.20"), "bob": Decimal("0.30")}
PLENTY = 4  # of a product for each checkout: more than anybody takes
FEW = 40  # one of the scarce product for so many checkouts, a tenth of what is wanted
GONE = 3
GOOD, BAD, WALLET = ("credit_card", "debit_card", "paypal"), ("declined_card", "insufficient_funds"), "wallet"
METHODS = (*GOOD, *GOOD, *BAD, WALLET, WALLET)


@dataclass(frozen=True)
class Purchase:
    """A checkout that somebody wants, and what may become of it."""

    user: str
    lines: tuple[tuple[int, int], ...]
    cart: str
    method: str
    style: str
    way: str
    outcomes: frozenset[Became]

    def of(self, product: int) -> int:
        """How many of a product."""
        return dict(self.lines).get(product, 0)

    @property
    def total(self) -> Decimal:
        """What it costs."""
        return Decimal(PRICE) * sum(quantity for _, quantity in self.lines)


@dataclass
class Tally:
    """What became of all checkouts; nothing but `outcomes` and `from_wallets` should have anything in it."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)  # by style and outcome
    from_wallets: int = 0  # completed ones
    lost: list[str] = field(default_factory=list)  # accepted, and unknown
    doubled: list[str] = field(default_factory=list)  # more orders, payments or reservations than there should be
    stuck: list[str] = field(default_factory=list)  # did not end
    wrong: list[str] = field(default_factory=list)  # ended, but not as they may
    books: list[str] = field(default_factory=list)  # counts, stocks and wallets that don't add up

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled, stuck or otherwise wrong."""
        return not (self.lost or self.doubled or self.stuck or self.wrong or self.books)


class Customers:
    """They share two wallets, and want the same few products; what each requested, and got."""

    def __init__(self, shop: Shop, chance: random.Random, checkouts: int) -> None:
        """So many `checkouts`, half of them in each style."""
        self._shop, self._chance, self._checkouts = shop, chance, checkouts
        self._wallets = {user: amount * checkouts for user, amount in USERS.items()}
        for user, amount in self._wallets.items():
            shop.deposit(str(amount), user)
        plenty, scarce = PLENTY * checkouts, checkouts // FEW + 2
        self._mugs, self._cups = shop.product(plenty), shop.product(plenty)
        self._scarce, self._gone = shop.product(scarce), shop.product(GONE)
        self._shelves = {self._mugs: plenty, self._cups: plenty, self._scarce: scarce}
        purchases = [self._purchase(style) for _ in range(checkouts // 2) for style in WINDOWS]
        with ThreadPoolExecutor(CUSTOMERS) as pool:
            self.purchases = list(pool.map(self._with_cart, purchases))
        self.sagas: dict[str, Purchase] = {}  # accepted ones
        self._undone: dict[str, bool] = {}  # those who requested it, and whether they were answered
        self._lock = threading.Lock()
        assert shop.became(shop.buy(self._gone, GONE)) == COMPLETED
        self._before = self._counts()

    def insist(self, purchase: Purchase) -> None:
        """Ask again until there is an answer."""
        saga_id = self._shop.insist(purchase.cart, purchase.method, purchase.way, purchase.style, purchase.user)
        with self._lock:
            self.sagas[saga_id] = purchase

    def change_a_mind(self) -> None:
        """Want one of the sagas so far undone, wherever it is; when nobody answers it isn't requested again."""
        with self._lock:
            saga_id = self._chance.choice(sorted(self.sagas))
        try:
            answered = self._shop.compensate(saga_id).status == 202
        except PEER_FAILED:
            answered = False
        self._undone[saga_id] = self._undone.get(saga_id, False) or answered

    def check(self) -> None:
        """Each got what the purchase demands, once, and all of it adds up."""
        tally = self.tally()
        assert tally.clean, tally

    def tally(self) -> Tally:
        """What became of each, once they have ended, and whether all of it adds up."""
        tally = Tally()
        with ThreadPoolExecutor(CUSTOMERS) as pool:
            became = dict(zip(self.sagas, pool.map(self._became, self.sagas), strict=True))
        done = []
        for saga_id, it in became.items():
            purchase = self.sagas[saga_id]
            if it is None:
                (tally.lost if self._unknown(saga_id) else tally.stuck).append(saga_id)
                continue
            tally.outcomes[purchase.style, self._outcome(saga_id, it)] += 1
            if it.saga == "completed":
                done.append(purchase)
            if max(len(it.orders), len(it.payments)) > 1 or len(it.reservations) > len(purchase.lines):
                tally.doubled.append(f"{saga_id}: {purchase} became {it}")
            elif not self._may(saga_id, it):
                tally.wrong.append(f"{saga_id}: {purchase} became {it}")
        tally.from_wallets = sum(purchase.method == WALLET for purchase in done)
        tally.books = list(self._not_adding_up(done))
        return tally

    def _not_adding_up(self, done: Sequence[Purchase]) -> Iterator[str]:
        counts = {window: count + self._checkouts // 2 for window, count in self._before.items()}
        if (found := self._counts()) != counts:
            yield f"sagas: {found} instead of {counts}"
        if len(self.sagas) != self._checkouts:
            yield f"accepted: {len(self.sagas)} instead of {self._checkouts}"
        for product, quantity in self._shelves.items():
            sold = sum(purchase.of(product) for purchase in done)
            if not sold or (stock := self._shop.stock(product)) != (quantity - sold, 0, sold):
                yield f"product {product}: {stock if sold else 'nothing'} instead of {sold} of {quantity} sold"
        if self._shop.stock(self._gone) != (0, 0, GONE):
            yield "what was gone is there"
        for user, amount in self._wallets.items():
            spent = sum(purchase.total for purchase in done if (purchase.user, purchase.method) == (user, WALLET))
            balance = self._shop.get(PAGOS, f"/api/v1/wallets/{user}").body["balance"]
            if not spent or balance != amount - spent:
                yield f"wallet of {user}: {balance} of {amount}, {spent} spent"

    def _became(self, saga_id: str) -> Became | None:
        """None if it does not end."""
        try:
            return self._shop.became(saga_id)
        except AssertionError:
            return None

    def _unknown(self, saga_id: str) -> bool:
        window, root = WINDOWS[self.sagas[saga_id].style]
        return self._shop.get(window, f"{root}/{saga_id}").status == 404

    def _outcome(self, saga_id: str, became: Became) -> str:
        if became.saga == "completed":
            return "completed"
        if "declined" in became.payments:
            return "declined"
        return "short of stock" if not became.reservations and saga_id not in self._undone else "cancelled"

    def _purchase(self, style: str) -> Purchase:
        """Two products in either order, so that they are wanted at the same time from both ends."""
        choice = self._chance.choice
        products = choice(
            [(self._mugs,), (self._mugs, self._cups), (self._cups, self._mugs), (self._cups, self._scarce)]
        )
        if self._chance.random() < 0.1:
            products = (*products, self._gone)
        lines = tuple((product, self._chance.randint(1, 2)) for product in products)
        user, method, way = choice(list(USERS)), choice(METHODS), choice([CARRITO, WINDOWS[style][0]])
        outcomes = {DECLINED} if method in BAD else {COMPLETED, DECLINED} if method == WALLET else {COMPLETED}
        if self._scarce in products:
            outcomes.add(SOLD_OUT)
        if self._gone in products:
            outcomes = {SOLD_OUT}
        each = frozenset(replace(it, reservations=it.reservations * len(lines)) for it in outcomes)
        return Purchase(user, lines, "", method, style, way, each)

    def _with_cart(self, purchase: Purchase) -> Purchase:
        return replace(purchase, cart=self._shop.cart(*purchase.lines, user=purchase.user))

    def _counts(self) -> dict[str, int]:
        """How many sagas there are of each style."""
        windows = [window for window, _ in WINDOWS.values()]
        return {window: sum(self._shop.get(window, "/audit").body["sagas"].values()) for window in windows}

    def _may(self, saga_id: str, became: Became) -> bool:
        undone = self._undone.get(saga_id)
        if undone is None:
            return became in self.sagas[saga_id].outcomes
        return became.left_nothing or (not undone and became in self.sagas[saga_id].outcomes)
