"""The requests of a steady load: products and money first, then checkouts."""

import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import quote

from dashboard.checkouts import MOST_PRODUCTS, Checkouts
from dashboard.config import Settings
from dashboard.load_counts import Outcome
from dashboard.load_plan import SPREAD, LoadPlan, Planned
from dashboard.service_client import Refused, TokenNeeded, Unreachable, bearer
from shared.ids import new_id

Json = Mapping[str, Any]

USER = "load"
PRICE = "12.50"
ENOUGH = 500_000  # of each product: for more than two hours of all checkouts buying the same one, at the highest rate
RICH = Decimal(1_000_000)  # in the wallet, for 80,000 checkouts
LEAST_LEFT = 2  # stock and wallet are filled up when less than half is left
MOST_PAGES = 50  # of the list in which the products of an earlier load are looked for: 10,000 products
ANSWER_SECONDS = 10.0  # longer than a healthy service takes to refuse, so that the service's own reason is shown
NOT_NOW = 503


class LoadShop(Checkouts):
    """The services for a load: with longer time limits than a page has, and connections of its own."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.model_copy(update={"dashboard_read_seconds": ANSWER_SECONDS}))

    def prepare(self, plan: LoadPlan, token: str) -> dict[str, Sequence[int]]:
        """Return the ids of products by choice, all in stock; fill the wallet if the plan pays from it.

        Raises `Unreachable`, `Refused`, or `TokenNeeded`.
        """
        known = self._stocked()
        skus = [f"LOAD-{number:02}" for number in range(SPREAD + 1)]
        ids = self._all(*(("inventario", partial(self._stock_up, known.get(sku), sku, token)) for sku in skus))
        if plan.method == "wallet":
            self._fill_wallet(token)
        return {"spread": ids[1:], "hot": ids[:1]}

    def send(self, planned: Planned) -> tuple[Outcome, float, str]:
        """Check a new cart out; return the outcome, the milliseconds until it was accepted, and why it was not."""
        line = {"product_id": planned.product, "quantity": 1}
        try:
            cart_id = self.fill_cart(USER, [line])
            began = time.perf_counter()
            self.check_out(cart_id, planned.style, {"user_id": USER, "payment_method": planned.method})
        except Refused as error:
            return ("refused" if error.status < 500 or error.status == NOT_NOW else "failed"), 0.0, str(error)
        except (Unreachable, TokenNeeded) as error:
            return "failed", 0.0, str(error)
        return "accepted", (time.perf_counter() - began) * 1000, ""

    def _stocked(self) -> dict[str, Json]:
        """Return the products of an earlier load, by sku."""
        found: dict[str, Json] = {}
        after: int | None = 0
        for _ in range(MOST_PAGES):
            page = self._needed("inventario", f"/api/products?after={after}&limit={MOST_PRODUCTS}") or {"items": ()}
            found |= {each["sku"]: each for each in page["items"] if each["sku"].startswith("LOAD-")}
            after = page.get("next_after")
            if after is None or len(found) > SPREAD:
                break
        return found

    def _stock_up(self, known: Json | None, sku: str, token: str) -> int:
        if known is None:
            product = {"name": f"Mug {sku}", "price": PRICE, "quantity": ENOUGH, "sku": sku}
            return int(self._made("inventario", "/api/products", product, token)["id"])
        path = f"/api/products/{known['id']}/restock"
        if known["available"] * LEAST_LEFT < ENOUGH:
            self._made("inventario", path, {"quantity": ENOUGH - known["available"]}, token)
        return int(known["id"])

    def _fill_wallet(self, token: str) -> None:
        path = f"/api/v1/wallets/{quote(USER)}"
        wallet = self._needed("pagos", path)
        there = Decimal(0) if wallet is None else Decimal(str(wallet["balance"]))
        if there * LEAST_LEFT < RICH:
            self._made("pagos", f"{path}/deposits", {"amount": str(RICH - there)}, token)

    def _made(self, service: str, path: str, body: Json, token: str) -> Json:
        return self._done(service, path, body, {"Idempotency-Key": f'"{new_id()}"', **bearer(token)})
