"""`make demo`: the same four checkouts in both styles on the running stack, printed as they happen.

It is the first example of how to use the API: `stack/demo/shop.py` has the requests. Exit status: 0 when every checkout
ended as its story says and the audit holds, else 1.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from stack import settings
from stack.audit import run as audit
from stack.costs import Meter
from stack.demo import next_steps
from stack.demo.narration import follow
from stack.demo.shop import CHOREOGRAPHED, ORCHESTRATED, WAIT_SECONDS, Json, Shop, ShopError, Style
from stack.demo.stories import EFFORT, MUG, NOTE, OUTCOME, POT, STORIES, SUCCESS, Ending, Story, result_of
from stack.errors import StackError
from stack.home import Home
from stack.table import paint, table

STYLES = (ORCHESTRATED, CHOREOGRAPHED)
# The process that takes the money, in each style; it is killed, and started again.
PAYING = {ORCHESTRATED: "pagos", CHOREOGRAPHED: "pagos-worker"}
# Name, price, and how many there are at least.
SHELF = {MUG: ("Coffee mug", "12.50", 10), POT: ("Moka pot", "39.90", 1)}
INTRODUCTION = """
The same checkouts in two styles, on the same services. Orchestrated: one service asks carrito, inventario and pagos
step by step (->), and when one says no, has every step that may have run undone in reverse order (<-). Choreographed:
nobody asks anybody. Each service reacts to the events of the others, forward and backward.
"""


class Demo:
    """One run of all stories."""

    def __init__(self, shop: Shop, meter: Meter, home: Home) -> None:
        self._shop, self._meter, self._home = shop, meter, home

    def run(self) -> bool:
        """Run all stories; return whether every checkout ended as expected."""
        print(INTRODUCTION)
        self._open_shop()
        self._warm_up()
        can_fail = self._shop.can_fail()
        stories = [story for story in STORIES if can_fail or not story.fault]
        endings = [self._tell(story, style) for story in stories for style in STYLES]
        if len(stories) < len(STORIES):
            print("\nNobody is killed: these services were not started with FAULTS=true. make down demo does that.")
        return self._report(endings)

    def _open_shop(self) -> None:
        """Stock the products of the stories: many mugs, and a last moka pot."""
        print(paint("The shop", "bold"))
        for product in map(self._product, (MUG, POT)):
            print(f"  product {product['id']}: {product['name']}, {product['price']}, {product['available']} available")

    def _product(self, sku: str) -> Json:
        """Return the product, restocked if needed."""
        name, price, at_least = SHELF[sku]
        return self._shop.stock_up(sku, name, price, at_least)

    def _warm_up(self) -> None:
        """Run one checkout that is not printed: the first one after a start opens connections, and is slower."""
        for style in STYLES:
            self._buy("gina", self._product(MUG), 1, style)

    def _tell(self, story: Story, style: Style) -> Ending:
        """Fill a cart and check it out, printing what happens."""
        if style is ORCHESTRATED:
            print(f"\n{paint(story.title, 'bold')}: {story.told}")
        product = self._product(story.sku)
        cart = self._shop.fill_cart(story.user, product, story.quantity)
        bill = f"{story.quantity} x {product['name']}, {cart['total']} in all, by {story.payment_method}"
        print(f"\n  {paint(style.name.title(), 'bold')}: {bill}")
        if story.bought_before:
            self._buy(story.bought_before, product, product["available"], style)
            print(f"  {story.bought_before.title()}'s checkout: completed. Nothing is left.")
        before, counts = self._shop.stock(product), self._meter.counts()
        saga = self._check_out(story, style, cart)
        restarted = [PAYING[style]] if story.fault else []
        costs = self._meter.costs(counts, self._shop.timeline(style, saga["saga_id"]), restarted)
        result, after = result_of(self._shop, saga), self._shop.stock(product)
        return Ending(story, style, saga, result, before, after, costs)

    def _check_out(self, story: Story, style: Style, cart: Json) -> Json:
        request = self._shop.checkout(cart, story.payment_method, style, fault=story.fault)
        if story is SUCCESS:
            print(f"  {request.curl()}".replace("\n", "\n  "))
        if story.fault:
            told = f"*** {PAYING[style]} is going to be killed (X-Fault: {story.fault}); it is started again by itself"
            print(f"  {paint(told, 'red')}", flush=True)
        return follow(self._shop, style, self._shop.send(request)["saga_id"])

    def _buy(self, user: str, product: Json, quantity: int, style: Style) -> None:
        """Send one request that is answered when its saga has ended."""
        cart = self._shop.fill_cart(user, product, quantity)
        saga = self._shop.send(self._shop.checkout(cart, "paypal", style, wait=WAIT_SECONDS))
        if saga["status"] != "completed":
            raise ShopError(f"{user}'s checkout is {saga['status']}: {saga.get('error')}")

    def _report(self, endings: Sequence[Ending]) -> bool:
        """Print the outcomes, and what to try next; return whether everything is as expected."""
        _show("What became of them", [OUTCOME, *(ending.outcome() for ending in endings)])
        _show("What it took", [EFFORT, *(ending.effort() for ending in endings)])
        print(f"  {NOTE}")
        findings = audit.check(self._shop.urls, wait_seconds=WAIT_SECONDS)
        print(f"\n{paint('Audit', 'bold')}: {audit.report(findings) if findings.broken else audit.summary(findings)}")
        cart = self._shop.fill_cart("elena", self._product(MUG), 1)
        ready = self._shop.checkout(cart, "credit_card", wait=WAIT_SECONDS)
        completed = {each.style: each.saga["saga_id"] for each in endings if each.story is SUCCESS}
        print(next_steps.text(self._shop, self._home, completed, ready))
        return findings.clean and all(ending.as_told() for ending in endings)


def _show(title: str, rows: list[tuple[str, ...]]) -> None:
    print(f"\n{paint(title, 'bold')}")
    print("\n".join(f"  {line}" for line in table(rows)))


def main() -> int:
    """Run the stories; see above for the exit status."""
    parser = argparse.ArgumentParser(prog="python -m stack.demo", description=__doc__)
    parser.add_argument("--home", type=Path, help="the folder of the stack; .local by default")
    home = Home.at(parser.parse_args().home)
    told = settings.read_env_file(home.env_file) | settings.user_settings()
    shop = Shop(audit.urls_of(home))
    try:
        with closing(Meter(shop, told.get("DATABASE_URL"))) as meter:
            return 0 if Demo(shop, meter, home).run() else 1
    except StackError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
