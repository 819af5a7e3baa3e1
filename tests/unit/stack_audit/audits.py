"""A good set of audits: in each pattern one checkout completed; one undone, one declined, a wallet, and a merchant's
own payment.
"""

import copy
from typing import Any

from stack.books import Books, CarritoAudit, InventarioAudit, PagosAudit, SagaBooks, SagasAudit

Audits = dict[str, dict[str, Any]]

ORCHESTRATED, CHOREOGRAPHED = {"count": 1, "sum": "-7045364012372091023"}, {"count": 1, "sum": "4532118830219977214"}
BOTH = {"count": 2, "sum": "-2513245182152113809"}
_GOOD: Audits = {
    "saga_orchestrator": {
        "sagas": {"completed": 1, "compensated": 2},
        "live": 0,
        "oldest_live_seconds": None,
        "carts_with_two_live_sagas": [],
        "completed_sagas": ORCHESTRATED,
    },
    "saga_choreography": {
        "sagas": {"completed": 1},
        "live": 0,
        "oldest_live_seconds": None,
        "carts_with_two_live_sagas": [],
        "completed_sagas": CHOREOGRAPHED,
        "outbox": 0,
    },
    "carrito": {
        "carts": {"open": 2, "checked_out": 2},
        "orders": {"confirmed": 2, "cancelled": 1},
        "confirmed_minor": {"EUR": 1998},
        "confirmed_without_cart": [],
        "confirmed_sagas": BOTH,
        "outbox": 0,
    },
    "inventario": {
        "stock": {"available": 8, "held": 0, "sold": 2, "seeded": 7, "restocked": 3},
        "broken_products": [],
        "reservations": {"committed": 2, "released": 1, "expired": 1},
        "overdue_holds": 0,
        "oldest_hold_overdue_seconds": 0,
        "committed_minor": 1998,
        "committed_sagas": BOTH,
        "outbox": 0,
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
        "paid_sagas": BOTH,
        "outbox": 0,
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

    def sagas(**changes: Any) -> SagaBooks:
        said = {"saga_orchestrator": {**audits["saga_orchestrator"], **changes}}
        said["saga_choreography"] = audits["saga_choreography"]
        return {service: SagasAudit.model_validate(audit) for service, audit in said.items()}

    return Books(
        sagas=sagas(),
        carrito=CarritoAudit.model_validate(audits["carrito"]),
        inventario=InventarioAudit.model_validate(audits["inventario"]),
        pagos=PagosAudit.model_validate(audits["pagos"]),
        sagas_after=sagas(**after),
    )
