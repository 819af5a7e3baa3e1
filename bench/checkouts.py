"""The checkouts of a round: carts of one line each, filled before the time is measured."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal

from bench.client import Client
from shared.ids import new_id
from stack.demo.shop import Json, Shop

PRODUCTS = 64  # of the spread load; twice the usual number of checkouts in flight
ENOUGH = 500_000  # of each product, also of a hot one
GOOD, DECLINED = "credit_card", "declined_card"


@dataclass(frozen=True)
class Checkout:
    """A filled cart and its payment method. The last three ids are for the baseline, which chooses ids itself."""

    cart_id: str
    user_id: str
    product_id: int
    quantity: int
    total: Decimal
    payment_method: str
    billing_address: str = "1 Main Street, Springfield"
    saga_id: str = field(default_factory=lambda: str(new_id()))
    payment_id: str = field(default_factory=lambda: str(new_id()))
    order_id: str = field(default_factory=lambda: str(new_id()))

    @property
    def declined(self) -> bool:
        """Whether its payment will be declined."""
        return self.payment_method == DECLINED


def stock_up(shop: Shop) -> dict[str, list[Json]]:
    """Return the products of each load: many for `spread`, another single one for `hot`."""
    spread = [shop.stock_up(f"BENCH-{n:03}", f"Mug {n}", "12.50", at_least=ENOUGH) for n in range(PRODUCTS)]
    return {"spread": spread, "hot": [shop.stock_up("BENCH-HOT", "The mug", "12.50", at_least=ENOUGH)]}


def is_chosen(number: int, share: float) -> bool:
    """Whether the checkout with this number belongs to the share; the share is spread evenly over all."""
    return int((number + 1) * share) > int(number * share)


@dataclass(frozen=True)
class Mix:
    """The user of the carts, and their payment methods: `method` for a share of them, a good card for the others."""

    share: float = 0.0
    method: str = DECLINED
    user_id: str = "bench"


def make_checkouts(clients: Sequence[Client], products: Sequence[Json], count: int, mix: Mix) -> list[Checkout]:
    """Fill `count` carts, with these products in turn; the clients do so in parallel."""

    def make(client: Client, number: int) -> Checkout:
        product_id = products[number % len(products)]["id"]
        return _make(client, mix.user_id, product_id, mix.method if is_chosen(number, mix.share) else GOOD)

    def make_all(client: Client, numbers: Sequence[int]) -> list[Checkout]:
        return [make(client, number) for number in numbers]

    with ThreadPoolExecutor(len(clients)) as threads:
        shares = [range(first, count, len(clients)) for first in range(len(clients))]
        made = list(threads.map(make_all, clients, shares))
    return [made[n % len(clients)][n // len(clients)] for n in range(count)]


def _make(client: Client, user_id: str, product_id: int, payment_method: str) -> Checkout:
    cart = client.post("carrito", "/carts", {"user_id": user_id}, 201).body
    item = {"product_id": product_id, "quantity": 1}
    cart = client.post("carrito", f"/carts/{cart['id']}/items", item, 201).body
    return Checkout(cart["id"], user_id, product_id, 1, cart["total"], payment_method)
