"""The receipt of an order: what was owed and what was given for it, in money and in goods. No I/O.

Each line adds to an account, or takes from it. Every account of an order that is settled sums to zero, whether the
order was confirmed or cancelled: what was owed was paid, and what was paid without being owed was paid back.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from dashboard.words import State, money
from shared.saga.states import ENDED

Json = Mapping[str, Any]
ZERO = Decimal("0.00")

ENTRIES = {
    "order": "Ordered",
    "cancellation": "Order cancelled",
    "capture": "Paid",
    "refund": "Refunded",
    "reserve": "Reserved",
    "commit": "Sold",
    "release": "Back on the shelf",
}


@dataclass(frozen=True)
class MoneyLine:
    """Money that became owed by the shopper (positive), or that was paid (negative)."""

    at: str | None  # time in ISO 8601; None where the service does not store it
    service: str
    entry: str  # one of `ENTRIES`
    detail: str
    amount: Decimal
    currency: str


@dataclass(frozen=True)
class StockLine:
    """Goods of one product: `owed` to the shopper, less what was delivered; and `held` for him."""

    at: str | None
    service: str
    entry: str
    detail: str
    product_id: int
    name: str
    owed: int
    held: int


@dataclass(frozen=True)
class Receipt:
    """An order and its lines; `saga` is its saga as a saga service tells it, None where none knows it.

    `is_known` is False when a saga service that may have the saga could not be reached.
    """

    order: Json
    saga: Json | None
    money: list[MoneyLine]
    stock: list[StockLine]
    is_known: bool = True

    @property
    def saga_status(self) -> str | None:
        """The saga's status; `not known` where it could not be read, None where there is no such saga."""
        return str(self.saga["status"]) if self.saga is not None else None if self.is_known else "not known"

    @property
    def money_sums(self) -> dict[str, Decimal]:
        """The amounts still owed, by currency; negative when too much was paid."""
        sums: dict[str, Decimal] = {}
        for line in self.money:
            sums[line.currency] = sums.get(line.currency, ZERO) + line.amount
        return sums

    @property
    def stock_sums(self) -> dict[int, tuple[int, int]]:
        """Of each product how many are still owed, and how many held."""
        sums: dict[int, tuple[int, int]] = {}
        for line in self.stock:
            owed, held = sums.get(line.product_id, (0, 0))
            sums[line.product_id] = owed + line.owed, held + line.held
        return sums

    @property
    def balanced(self) -> bool:
        """Whether every account sums to zero."""
        return not any(self.money_sums.values()) and not any(map(any, self.stock_sums.values()))

    @property
    def state(self) -> State:
        """The state of the receipt; it need not balance while its saga runs."""
        if self.saga is not None and self.saga["status"] not in ENDED:
            return State.RUNNING
        if self.balanced:
            return State.DONE
        return State.FAILED if self.is_known else State.IDLE


def receipt_of(
    order: Json, ledger: Sequence[Json], movements: Sequence[Json], saga: Json | None, *, is_known: bool = True
) -> Receipt:
    """Make the receipt from carrito's order, pagos's ledger lines and inventario's movements for its saga."""
    names = {item["product_id"]: str(item["name"]) for item in order["items"]}
    stock = [*_goods(order, names), *(_moved(each, names) for each in movements)]
    return Receipt(order, saga, _in_order([*_owed(order), *map(_booked, ledger)]), _in_order(stock), is_known)


def _in_order(lines: list[Any]) -> list[Any]:
    """Sort lines: the order's first, which is the reason for the others, then by time.

    Lines without a time come last, in the service's order.
    """
    return sorted(lines, key=lambda line: (line.entry != "order", line.at is None, line.at or ""))


def _owed(order: Json) -> Iterator[MoneyLine]:
    currency = str(order["currency"])
    for item in order["items"]:
        detail = f"{item['quantity']} × {item['name']} at {money(_amount(item['unit_price']), currency)}"  # noqa: RUF001
        amount = _amount(item["unit_price"]) * item["quantity"]
        yield MoneyLine(order["created_at"], "carrito", "order", detail, amount, currency)
    if order["status"] == "cancelled":
        yield MoneyLine(None, "carrito", "cancellation", "nothing is owed any more", -_amount(order["total"]), currency)


def _booked(line: Json) -> MoneyLine:
    amount = _amount(line["amount"])
    signed = amount if line["kind"] == "refund" else -amount
    detail = f"{line['debit_account']} → {line['credit_account']}"
    return MoneyLine(line["created_at"], "pagos", line["kind"], detail, signed, line["currency"])


def _goods(order: Json, names: Mapping[int, str]) -> Iterator[StockLine]:
    cancelled = order["status"] == "cancelled"
    for entry in ("order", *(["cancellation"] if cancelled else [])):
        at, sign = (order["created_at"], 1) if entry == "order" else (None, -1)
        for item in order["items"]:
            product, owed = item["product_id"], sign * item["quantity"]
            yield StockLine(at, "carrito", entry, "", product, names[product], owed, 0)


def _moved(movement: Json, names: Mapping[int, str]) -> StockLine:
    came_from, went_to = movement["from_shelf"], movement["to_shelf"]
    quantity, product = movement["quantity"], movement["product_id"]
    # What is not known to have been sold was held: that closes one of the two accounts, and leaves the other as it is.
    leaves = came_from or "held"
    owed = quantity * ((leaves == "sold") - (went_to == "sold"))
    held = quantity * ((went_to == "held") - (leaves == "held"))
    name = names.get(product, f"product {product}")
    detail = f"{came_from or 'not known'} → {went_to}"
    return StockLine(movement["moved_at"], "inventario", movement["kind"], detail, product, name, owed, held)


def _amount(value: Any) -> Decimal:
    return Decimal(value).quantize(ZERO)
