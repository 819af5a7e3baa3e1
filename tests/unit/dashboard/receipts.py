"""Recorded orders, and the receipts made of them when they were last reviewed.

`python -m tests.unit.dashboard.receipts` writes the pages again; review the changes before you commit them.
"""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from dashboard.pages import receipt_page
from dashboard.receipt import Receipt, receipt_of

HERE = Path(__file__).parent / "receipts"
ORDER, SAGA = "01a21726-0000-7000-8000-00000000000a", "01a21726-0000-7000-8000-000000000001"
PAYMENT = "01a21726-0000-7000-8000-00000000000b"
CARD = "clearing:credit_card"
TIME = "2026-11-26T10:00:0{}.000000+00:00"


def order(status: str = "confirmed", **changed: Any) -> dict[str, Any]:
    """Return an order of two mugs and a pot."""
    items = [
        {"product_id": 7, "name": "Mug", "quantity": 2, "unit_price": Decimal("9.99")},
        {"product_id": 9, "name": "Moka pot", "quantity": 1, "unit_price": Decimal("39.90")},
    ]
    ids = {"id": ORDER, "saga_id": SAGA, "user_id": "ana", "created_at": TIME.format(2)}
    return {**ids, "items": items, "total": Decimal("59.88"), "currency": "EUR", "status": status, **changed}


def booked(kind: str = "capture", amount: str = "59.88", second: int = 1) -> dict[str, Any]:
    """Return a line of the ledger."""
    accounts = (CARD, "revenue") if kind == "capture" else ("revenue", CARD)
    sides = dict(zip(("debit_account", "credit_account"), accounts, strict=True))
    money = {"amount": Decimal(amount), "currency": "EUR"}
    return {"payment_id": PAYMENT, "kind": kind, **sides, **money, "created_at": TIME.format(second)}


def moved(kind: str, came_from: str | None, went_to: str, second: int | None) -> list[dict[str, Any]]:
    """Return the movement of both lines."""
    at = None if second is None else TIME.format(second)
    return [
        {"kind": kind, "product_id": product, "quantity": quantity, "from_shelf": came_from, "to_shelf": went_to}
        | {"unit_price": Decimal("9.99"), "moved_at": at}
        for product, quantity in ((7, 2), (9, 1))
    ]


RESERVED, SOLD = moved("reserve", "available", "held", 0), moved("commit", "held", "sold", 3)
LET_GO, TAKEN_BACK = moved("release", "held", "available", 5), moved("release", "sold", "available", 5)
UNKNOWN = moved("release", None, "available", None)
REFUNDED = booked("refund", second=4)


def saga(status: str) -> dict[str, Any]:
    """Return the order's saga as its service shows it."""
    return {"saga_id": SAGA, "saga_pattern": "orchestrated", "status": status}


RECEIPTS: dict[str, Receipt] = {
    "confirmed": receipt_of(order(), [booked()], [*RESERVED, *SOLD], saga("completed")),
    "under-way": receipt_of(order("pending"), [booked()], RESERVED, saga("running")),
    "cancelled": receipt_of(order("cancelled"), [booked(), REFUNDED], [*RESERVED, *LET_GO], saga("compensated")),
    "undone": receipt_of(
        order("cancelled"), [booked(), REFUNDED], [*RESERVED, *SOLD, *TAKEN_BACK], saga("compensated")
    ),
    "undone-by-an-older-version": receipt_of(order("cancelled"), [booked(), REFUNDED], [*RESERVED, *UNKNOWN], None),
    "never-refunded": receipt_of(order("cancelled"), [booked()], [*RESERVED, *LET_GO], saga("compensated")),
}


def page_of(name: str) -> str:
    """Return the page of one of the receipts."""
    return receipt_page(RECEIPTS[name], datetime(2026, 11, 26, 10, 5, tzinfo=UTC))


if __name__ == "__main__":
    for each in RECEIPTS:
        (HERE / f"{each}.html").write_text(page_of(each))
