"""Customers of every kind, and what each of them must have at the end.

A customer with a good card, who buys a product with enough stock, must have it at the end, whatever died meanwhile. The
result depends on the order only where customers compete for scarce products, or share a wallet.
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

CUSTOMERS = 8  # at once; the others wait, so that there is load until the end
# Money in the wallets for each checkout: enough for some of those that pay from them.
USERS = {"ana": Decimal("0.20"), "bob": Decimal("0.30")}
PLENTY = 4  # stock of a usual product for each checkout: more than anybody buys
FEW = 40  # checkouts for each piece of a scarce product: a tenth of what is wanted
GONE = 3
GOOD, BAD, WALLET = ("credit_card", "debit_card", "paypal"), ("declined_card", "insufficient_funds"), "wallet"
METHODS = (*GOOD, *GOOD, *BAD, WALLET, WALLET)


@dataclass(frozen=True)
class Purchase:
    """A wanted checkout, and the allowed results."""

    user: str
    lines: tuple[tuple[int, int], ...]
    cart: str
    method: str
    style: str
    way: str
    outcomes: frozenset[Became]

    def of(self, product: int) -> int:
        """Return the wanted quantity of a product."""
        return dict(self.lines).get(product, 0)

    @property
    def total(self) -> Decimal:
        """Return the price of all of it."""
        return Decimal(PRICE) * sum(quantity for _, quantity in self.lines)


@dataclass
class Tally:
    """The results of all checkouts; only `outcomes` and `from_wallets` may have entries."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)  # by style and result
    from_wallets: int = 0  # completed checkouts paid from wallets
    lost: list[str] = field(default_factory=list)  # accepted, but unknown
    doubled: list[str] = field(default_factory=list)  # with more orders, payments or reservations than allowed
    stuck: list[str] = field(default_factory=list)  # not ended
    wrong: list[str] = field(default_factory=list)  # ended with a result that is not allowed
    books: list[str] = field(default_factory=list)  # counts, stocks and wallets that do not add up

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled, stuck or otherwise wrong."""
        return not (self.lost or self.doubled or self.stuck or self.wrong or self.books)


class Customers:
    """Customers who share two wallets, and want the same few products; with what each requested and got."""

    def __init__(self, shop: Shop, chance: random.Random, checkouts: int) -> None:
        """Plan so many `checkouts`, half of them in each style."""
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
        self.sagas: dict[str, Purchase] = {}  # accepted sagas
        self._undone: dict[str, bool] = {}  # sagas whose compensation was requested, and whether that was answered
        self._lock = threading.Lock()
        assert shop.became(shop.buy(self._gone, GONE)) == COMPLETED
        self._before = self._counts()

    def insist(self, purchase: Purchase) -> None:
        """Request the purchase until there is an answer."""
        saga_id = self._shop.insist(purchase.cart, purchase.method, purchase.way, purchase.style, purchase.user)
        with self._lock:
            self.sagas[saga_id] = purchase

    def change_a_mind(self) -> None:
        """Request the compensation of one of the sagas so far; without an answer, the request is not repeated."""
        with self._lock:
            saga_id = self._chance.choice(sorted(self.sagas))
        try:
            answered = self._shop.compensate(saga_id).status == 202
        except PEER_FAILED:
            answered = False
        self._undone[saga_id] = self._undone.get(saga_id, False) or answered

    def check(self) -> None:
        """Check that each customer got what the purchase demands, once, and that all of it adds up."""
        tally = self.tally()
        assert tally.clean, tally

    def tally(self) -> Tally:
        """Return the result of each checkout, after all have ended, and whether all of it adds up."""
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
        """Return the result of a checkout; None if it does not end."""
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
        """Draw a purchase of two products, in either order, so that concurrent purchases lock them from both ends."""
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
        """Count the sagas of each style."""
        windows = [window for window, _ in WINDOWS.values()]
        return {window: sum(self._shop.get(window, "/audit").body["sagas"].values()) for window in windows}

    def _may(self, saga_id: str, became: Became) -> bool:
        undone = self._undone.get(saga_id)
        if undone is None:
            return became in self.sagas[saga_id].outcomes
        return became.left_nothing or (not undone and became in self.sagas[saga_id].outcomes)
