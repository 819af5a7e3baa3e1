"""The checkout to compare: cart, payment method, user and fault, as in a form and a URL. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from werkzeug.datastructures import MultiDict

from dashboard.service_client import fits_header

Json = Mapping[str, Any]

LINES = 3  # of the cart: enough to see several products held and sold together
# Faults of one checkout that both styles understand, in the notation of `X-Fault`, with their effects. All of them end.
FAULTS = {
    "": "no fault",
    "process_payment=refuse": "the payment is refused: both are undone",
    "process_payment=slow:1500": "the payment takes 1.5 s longer",
    "process_payment=unavailable*3": "pagos is not available three times: tried again",
    "process_payment=lose_answer*2": "money is taken, and the answer lost twice: tried again, taken once",
    "create_order=refuse": "the order is refused: money and stock go back",
    "create_order=refuse,process_payment=fail_undo*3": "the order is refused, and the refund fails three times",
    "commit_inventory=lose_answer": "stock is sold, and the answer lost: tried again, sold once",
    "commit_inventory=unavailable*3": "inventario is not available three times at the pivot: forward only",
    "process_payment=kill:after": "pagos dies after it took the money, and is started again",
    "process_payment=deliver_twice": "choreographed only: an event comes twice, and the copy is dropped",
    "process_payment=delay_message:2000": "choreographed only: an event is published 2 s later",
}
DEFAULTS = {"method": "credit_card", "user": "ana", "fault": ""}


@dataclass(frozen=True)
class Choices:
    """One checkout as it was chosen; `lines` are ids of products and quantities, as they were typed."""

    lines: tuple[tuple[str, str], ...]
    method: str
    user: str
    fault: str

    @classmethod
    def of(cls, given: MultiDict[str, str]) -> "Choices":
        """Parse a form or a URL; lines without a product are left out."""
        pairs = zip(given.getlist("product"), given.getlist("quantity"), strict=False)
        lines = tuple((product.strip(), quantity.strip()) for product, quantity in pairs if product.strip())
        texts = {name: given.get(name, default).strip() for name, default in DEFAULTS.items()}
        return cls(lines[:LINES], **texts)

    @staticmethod
    def check(form: MultiDict[str, str]) -> None:
        """Raises `ValueError` for a form whose lines would not all be checked out."""
        products, quantities = form.getlist("product"), form.getlist("quantity")
        if len(products) != len(quantities):
            raise ValueError("Each product has one quantity, and each quantity a product.")
        if len([product for product in products if product.strip()]) > LINES:
            raise ValueError(f"At most {LINES} products are checked out together.")

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The choices as names and values of a form or a URL."""
        lines = [pair for line in self.lines for pair in zip(("product", "quantity"), line, strict=True)]
        return [*lines, *((name, getattr(self, name)) for name in DEFAULTS)]

    @property
    def query(self) -> str:
        """The choices as a URL's query; empty where nothing was chosen."""
        return "?" + urlencode(self.fields) if self.lines else ""

    @property
    def rows(self) -> list[tuple[str, str]]:
        """The lines of the form: the chosen ones, then empty ones."""
        return [*(self.lines or (("", "1"),)), *[("", "1")] * LINES][:LINES]

    @property
    def faults(self) -> dict[str, str]:
        """The faults that the form offers, with that of the URL."""
        return FAULTS if self.fault in FAULTS else {**FAULTS, self.fault: "as the address of this page says"}

    @property
    def header(self) -> str:
        """The value of `X-Fault`; raises `ValueError` for what no header can hold."""
        if not fits_header(self.fault):
            raise ValueError("A fault is written in printable ASCII characters.")
        return self.fault

    @property
    def items(self) -> list[Json]:
        """The lines as carrito's API takes them; raises `ValueError` when there are none, or one is no number."""
        if not self.lines or not all(value.isascii() and value.isdecimal() for line in self.lines for value in line):
            raise ValueError("Choose a product, and how many of it.")
        return [{"product_id": int(product), "quantity": int(quantity)} for product, quantity in self.lines]
