"""A receipt as JSON and as CSV."""

import csv
import io
from typing import Any

from dashboard.receipt import Receipt

COLUMNS = (
    "order_id",
    "saga_id",
    "account",
    "at",
    "service",
    "entry",
    "product_id",
    "name",
    "detail",
    "owed",
    "held",
    "amount",
    "currency",
    "saga_status",
)
# First characters of formulas in spreadsheets, also in full width.
FORMULAS = tuple("=+-@＝＋－＠\t\r\n")  # noqa: RUF001


def as_json(receipt: Receipt) -> dict[str, Any]:
    """The receipt as a JSON object: amounts as numbers with two places, times in ISO 8601."""
    order = receipt.order
    return {
        "order_id": order["id"],
        "saga_id": order["saga_id"],
        "user_id": order["user_id"],
        "status": order["status"],
        "saga_status": receipt.saga_status,
        "total": order["total"],
        "currency": order["currency"],
        "balanced": receipt.balanced,
        "money": [vars(line) for line in receipt.money],
        "stock": [vars(line) for line in receipt.stock],
        "sums": {
            "money": [{"currency": each, "amount": amount} for each, amount in receipt.money_sums.items()],
            "stock": [
                {"product_id": each, "owed": owed, "held": held} for each, (owed, held) in receipt.stock_sums.items()
            ],
        },
    }


def as_csv(receipt: Receipt) -> str:
    """The receipt as CSV (RFC 4180) with a head; its last lines, of the entry `sum`, are the sums of the accounts.

    Texts that a spreadsheet would take for a formula have an apostrophe before them.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, restval="")
    table.writeheader()
    for row in _rows(receipt):
        ids = {"order_id": receipt.order["id"], "saga_id": receipt.order["saga_id"], "saga_status": receipt.saga_status}
        table.writerow({name: _cell(value) for name, value in {**ids, **row}.items()})
    return text.getvalue()


def _rows(receipt: Receipt) -> list[dict[str, Any]]:
    return [
        *({"account": "money", **vars(line)} for line in receipt.money),
        *({"account": "stock", **vars(line)} for line in receipt.stock),
        *(
            {"account": "money", "entry": "sum", "amount": amount, "currency": currency}
            for currency, amount in receipt.money_sums.items()
        ),
        *(
            {"account": "stock", "entry": "sum", "product_id": product, "owed": owed, "held": held}
            for product, (owed, held) in receipt.stock_sums.items()
        ),
    ]


def _cell(value: Any) -> Any:
    """Write a number as it is, and a text so that no spreadsheet takes it for a formula."""
    if not isinstance(value, str):
        return value
    return f"'{value}" if value.lstrip(" ").startswith(FORMULAS) else value
