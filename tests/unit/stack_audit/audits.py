"""A good set of audits: one checkout completed, one undone, one declined, a wallet, and a merchant's own payment."""

import copy
from typing import Any

from stack.books import Books, CarritoAudit, InventarioAudit, OrchestratorAudit, PagosAudit

Audits = dict[str, dict[str, Any]]

_ONE = {"count": 1, "md5": "0cc175b9"}
_GOOD: Audits = {
    "saga_orchestrator": {
        "sagas": {"completed": 1, "compensated": 2},
        "live": 0,
        "oldest_live_seconds": None,
        "carts_with_two_live_sagas": [],
        "completed_sagas": _ONE,
    },
    "carrito": {
        "carts": {"open": 2, "checked_out": 1},
        "orders": {"confirmed": 1, "cancelled": 1},
        "confirmed_minor": {"EUR": 1998},
        "confirmed_without_cart": [],
        "confirmed_sagas": _ONE,
    },
    "inventario": {
        "stock": {"available": 8, "held": 0, "sold": 2, "seeded": 7, "restocked": 3},
        "broken_products": [],
        "reservations": {"committed": 1, "released": 1, "expired": 1},
        "overdue_holds": 0,
        "oldest_hold_overdue_seconds": 0,
        "committed_minor": 1998,
        "committed_sagas": _ONE,
    },
    "pagos": {
        "saga_payments": {"EUR": {"captured_minor": 2997, "refunded_minor": 999, "net_minor": 1998}},
        "other_payments": {"EUR": {"captured_minor": 100, "refunded_minor": 0, "net_minor": 100}},
        "payments": {"captured": 2, "refunded": 1, "declined": 1},
        "accounts": {"EUR": {"clearing:credit_card": 2598, "wallets": -500, "revenue": -2098}},
        "ledger_sum": 0,
        "wallets": {"EUR": {"balance_minor": 500, "ledger_minor": 500}},
        "broken_payments": [],
        "broken_wallets": [],
        "overpaid_sagas": [],
        "undone_but_paid_sagas": [],
        "paid_sagas": _ONE,
    },
}


def good_audits(**changes: Any) -> Audits:
    """The set, with changes such as `pagos__accounts__EUR__revenue=-1`."""
    audits = copy.deepcopy(_GOOD)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place: Any = audits
        for parent in parents:
            place = place[parent]
        place[last] = value
    return audits


def books_of(audits: Audits, **after: Any) -> Books:
    """The books that say so; `after` changes what the orchestrator says when it is read again."""
    return Books(
        orchestrator=OrchestratorAudit.model_validate(audits["saga_orchestrator"]),
        carrito=CarritoAudit.model_validate(audits["carrito"]),
        inventario=InventarioAudit.model_validate(audits["inventario"]),
        pagos=PagosAudit.model_validate(audits["pagos"]),
        orchestrator_after=OrchestratorAudit.model_validate({**audits["saga_orchestrator"], **after}),
    )
