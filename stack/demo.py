"""`make demo`: three checkouts on the running stack, told as they happen: one succeeds, two are undone.

The first example of how to use the API: `stack/shop.py` has the requests. Exit status: 0 when every checkout ended as
its story says and the audit holds, 1 when not, 2 when a service could not be reached.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from stack import audit, next_steps
from stack.errors import StackError
from stack.home import Home
from stack.narration import follow, seconds
from stack.shop import WAIT_SECONDS, Json, Shop, ShopError
from stack.table import paint, table

Stock = tuple[int, int, int]  # available, held, sold


@dataclass(frozen=True)
class Story:
    """A checkout to be, and how it should end."""

    title: str
    told: str
    user: str
    payment_method: str
    saga: str  # its status at the end
    order: str  # the order's, or "none"


@dataclass(frozen=True)
class Ending:
    """What became of a checkout, as each service tells it."""

    story: Story
    saga: Json
    order: str
    captured: Decimal
    refunded: Decimal
    before: Stock
    after: Stock
    quantity: int

    def as_told(self) -> bool:
        """Whether it ended as its story says: everything done and paid, or nothing."""
        sold = self.quantity if self.story.saga == "completed" else 0
        available, held, sold_before = self.before
        return (
            (self.saga["status"], self.order) == (self.story.saga, self.story.order)
            and self.captured - self.refunded == (self.saga["total"] if sold else 0)
            and self.after == (available - sold, held, sold_before + sold)
        )

    def row(self) -> tuple[str, ...]:
        """For the closing table."""
        status = self.saga["status"] if self.as_told() else f"{self.saga['status']} (NOT AS TOLD)"
        stock = f"{'/'.join(map(str, self.before))} -> {'/'.join(map(str, self.after))}"
        took = f"{seconds(self.saga['created_at'], self.saga['ended_at']) * 1000:.0f} ms"
        return self.story.title, status, self.order, f"{self.captured} / {self.refunded}", stock, took


HEAD = ("checkout", "saga", "order", "captured / refunded", "stock: available/held/sold", "took")
SUCCESS = Story("Success", "Ana's card is good.", "ana", "credit_card", "completed", "confirmed")
DECLINED = Story(
    "Declined card",
    "Bruno's card is declined, when stock is held for him already: it goes back.",
    "bruno",
    "declined_card",
    "compensated",
    "none",
)
SHORTAGE = Story(
    "Stock shortage",
    "Carla has the last moka pot in her cart. So has Diego, and he checks out first.",
    "carla",
    "credit_card",
    "compensated",
    "none",
)


def run(shop: Shop) -> list[Ending]:
    """Stock the shop, and run the three checkouts."""
    mug = shop.stock_up("DEMO-MUG", "Coffee mug", "12.50", at_least=10)
    pot = shop.stock_up("DEMO-POT", "Moka pot", "39.90", at_least=1)
    print(paint("The shop", "bold"))
    for product in (mug, pot):
        print(f"  product {product['id']}: {product['name']}, {product['price']}, {product['available']} available")
    return [
        tell(shop, 1, SUCCESS, mug, 2),
        tell(shop, 2, DECLINED, mug, 3),
        tell(shop, 3, SHORTAGE, pot, pot["available"], meanwhile=lambda: buy_first(shop, "diego", pot)),
    ]


def tell(
    shop: Shop, number: int, story: Story, product: Json, quantity: int, meanwhile: Callable[[], None] | None = None
) -> Ending:
    """Fill a cart and check it out, telling what happens; `meanwhile` is done in between."""
    print(f"\n{paint(f'{number}. {story.title}', 'bold')}: {story.told}")
    cart = shop.fill_cart(story.user, product, quantity)
    print(f"  Cart: {quantity} x {product['name']}, {cart['total']} in all, to be paid by {story.payment_method}\n")
    if meanwhile:
        meanwhile()
    before = shop.stock(product)
    request = shop.checkout(cart, story.payment_method)
    print(f"  {request.curl()}\n".replace("\n", "\n  ").rstrip(" "))
    saga = follow(shop, shop.send(request)["saga_id"])
    orders = shop.get("carrito", f"/orders/saga/{cart['id']}")["items"]
    payments = shop.get("pagos", f"/api/v1/payments/saga/{cart['id']}")["items"]
    return Ending(
        story,
        saga,
        order=", ".join(order["status"] for order in orders) or "none",
        captured=sum((each["amount"] for each in payments if each["status"] != "declined"), Decimal("0.00")),
        refunded=sum((each["refunded"] for each in payments), Decimal("0.00")),
        before=before,
        after=shop.stock(product),
        quantity=quantity,
    )


def buy_first(shop: Shop, user: str, product: Json) -> None:
    """Buy all that is left, with one request that is answered when its saga has ended."""
    cart = shop.fill_cart(user, product, product["available"])
    saga = shop.send(shop.checkout(cart, "paypal", wait=WAIT_SECONDS))
    if saga["status"] != "completed":
        raise ShopError(f"{user}'s checkout is {saga['status']}: {saga.get('error')}")
    print(f"  {user}'s checkout: completed. Nothing is left.\n")


def close(shop: Shop, endings: list[Ending], home: Home) -> bool:
    """Print what became of everything, and what to try next; whether all is as it should be."""
    print(f"\n{paint('What became of them', 'bold')}")
    print("\n".join(f"  {line}" for line in table([HEAD, *(ending.row() for ending in endings)])))
    findings = audit.check(shop.urls, wait_seconds=WAIT_SECONDS)
    print(f"\n{paint('Audit', 'bold')}: {audit.summary(findings)}")
    completed = next(ending.saga for ending in endings)
    ready = shop.fill_cart("elena", shop.stock_up("DEMO-MUG", "Coffee mug", "12.50", at_least=1), 1)
    print(next_steps.text(shop, home, completed["saga_id"], shop.checkout(ready, "credit_card", wait=WAIT_SECONDS)))
    return findings.clean and all(ending.as_told() for ending in endings)


def main() -> int:
    """Tell the stories; see above for the exit status."""
    parser = argparse.ArgumentParser(prog="python -m stack.demo", description=__doc__)
    parser.add_argument("--home", type=Path, help="the folder of the stack; .local by default")
    home = Home.at(parser.parse_args().home)
    shop = Shop(audit.urls_of(home))
    print("\nThree checkouts, each a saga: the orchestrator calls carrito, inventario and pagos, one after the other.")
    print("When one says no, every step that may have run is undone, in reverse order.\n")
    try:
        return 0 if close(shop, run(shop), home) else 1
    except StackError as error:
        print(f"\n{error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
