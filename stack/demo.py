"""`make demo`: three checkouts on the running stack, told as they happen: one succeeds, two are undone.

The first example of how to use the API: `stack/shop.py` has the requests. Exit status: 0 when every checkout ended as
its story says and the audit holds, else 1.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
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
SUCCESS = Story("1. Success", "Ana's card is good.", "ana", "credit_card", "completed", "confirmed")
DECLINED = Story(
    "2. Declined card",
    "Bruno's card is declined, when stock is held for him already: it goes back.",
    "bruno",
    "declined_card",
    "compensated",
    "none",
)
SHORTAGE = Story(
    "3. Stock shortage",
    "Carla has the last moka pot in her cart. So has Diego, and he checks out first.",
    "carla",
    "credit_card",
    "compensated",
    "none",
)


def open_shop(shop: Shop) -> tuple[Json, Json]:
    """Put what the stories need on the shelves: mugs in plenty, and a last moka pot."""
    mug = shop.stock_up("DEMO-MUG", "Coffee mug", "12.50", at_least=10)
    pot = shop.stock_up("DEMO-POT", "Moka pot", "39.90", at_least=1)
    print(paint("The shop", "bold"))
    for product in (mug, pot):
        print(f"  product {product['id']}: {product['name']}, {product['price']}, {product['available']} available")
    return mug, pot


def tell(
    shop: Shop, story: Story, product: Json, quantity: int, meanwhile: Callable[[], None] = lambda: None
) -> Ending:
    """Fill a cart and check it out, telling what happens; `meanwhile` is done in between."""
    print(f"\n{paint(story.title, 'bold')}: {story.told}")
    cart = shop.fill_cart(story.user, product, quantity)
    print(f"  Cart: {quantity} x {product['name']}, {cart['total']} in all, to be paid by {story.payment_method}\n")
    meanwhile()
    before = shop.stock(product)
    request = shop.checkout(cart, story.payment_method)
    print(f"  {request.curl()}\n".replace("\n", "\n  ").rstrip(" "))
    saga = follow(shop, shop.send(request)["saga_id"])
    return ending_of(shop, story, saga, (before, shop.stock(product)), quantity)


def ending_of(shop: Shop, story: Story, saga: Json, stock: tuple[Stock, Stock], quantity: int) -> Ending:
    """Ask the services what became of order and money; `stock` is that before and after."""
    orders = shop.get("carrito", f"/orders/saga/{saga['cart_id']}")["items"]
    payments = shop.get("pagos", f"/api/v1/payments/saga/{saga['cart_id']}")["items"]
    return Ending(
        story,
        saga,
        order=", ".join(order["status"] for order in orders) or "none",
        captured=sum((each["amount"] for each in payments if each["status"] != "declined"), Decimal("0.00")),
        refunded=sum((each["refunded"] for each in payments), Decimal("0.00")),
        before=stock[0],
        after=stock[1],
        quantity=quantity,
    )


def buy_all(shop: Shop, user: str, product: Json) -> None:
    """Buy all that is left, with one request that is answered when its saga has ended."""
    cart = shop.fill_cart(user, product, product["available"])
    saga = shop.send(shop.checkout(cart, "paypal", wait=WAIT_SECONDS))
    if saga["status"] != "completed":
        raise ShopError(f"{user}'s checkout is {saga['status']}: {saga.get('error')}")
    print(f"  {user.title()}'s checkout: completed. Nothing is left.\n")


def report(shop: Shop, endings: Iterable[Ending]) -> bool:
    """Print what became of everything; whether all is as it should be."""
    print(f"\n{paint('What became of them', 'bold')}")
    print("\n".join(f"  {line}" for line in table([HEAD, *(ending.row() for ending in endings)])))
    findings = audit.check(shop.urls, wait_seconds=WAIT_SECONDS)
    print(f"\n{paint('Audit', 'bold')}: {findings if findings.broken else audit.summary(findings)}")
    return findings.clean and all(ending.as_told() for ending in endings)


def run(shop: Shop, home: Home) -> bool:
    """The whole of it; whether all went as told."""
    print("\nThree checkouts, each a saga: the orchestrator asks carrito, inventario and pagos step by step (->).")
    print("When one says no, every step that may have run is undone, in reverse order (<-).\n")
    mug, pot = open_shop(shop)
    endings = [
        tell(shop, SUCCESS, mug, 2),
        tell(shop, DECLINED, mug, 3),
        tell(shop, SHORTAGE, pot, pot["available"], meanwhile=lambda: buy_all(shop, "diego", pot)),
    ]
    well = report(shop, endings)
    ready = shop.checkout(shop.fill_cart("elena", mug, 1), "credit_card", wait=WAIT_SECONDS)
    print(next_steps.text(shop, home, endings[0].saga["saga_id"], ready))
    return well


def main() -> int:
    """Tell the stories; see above for the exit status."""
    parser = argparse.ArgumentParser(prog="python -m stack.demo", description=__doc__)
    parser.add_argument("--home", type=Path, help="the folder of the stack; .local by default")
    home = Home.at(parser.parse_args().home)
    try:
        return 0 if run(Shop(audit.urls_of(home)), home) else 1
    except StackError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
