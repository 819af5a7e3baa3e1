"""pagos's part of the audit: payments, wallets and ledger, which must agree, and its facts of each saga."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from pagos.models import audit_log, outbox, payments
from shared.auditing.endpoint import Audit, facts_statement

SHOWN = 20  # broken payments or wallets at most; enough to begin a search
_SAGA_IDS = "SELECT DISTINCT saga_id FROM payments WHERE saga_id > :after ORDER BY saga_id LIMIT :limit"
# A saga has several payments only if the table's constraints are gone. `undone`: the payment was compensated.
_FACTS = """
    SELECT saga_id, min(currency) AS currency,
        CAST(sum(CASE WHEN status = 'declined' THEN 0 ELSE amount_minor END) AS bigint) AS captured_minor,
        CAST(sum(refunded_minor) AS bigint) AS refunded_minor,
        count(*) FILTER (WHERE status <> 'declined') AS payments,
        count(*) FILTER (WHERE status = 'captured') AS captured,
        EXISTS (
            SELECT FROM barrier WHERE barrier.saga_id = payments.saga_id
            AND step = 'process_payment' AND direction = 'compensation'
        ) AS undone
    FROM payments WHERE saga_id = ANY (:ids) GROUP BY saga_id
"""
Sums = Mapping[str, int]


def books(connection: Connection) -> Mapping[str, Any]:
    """Return money by currency, in minor units, and the payments and wallets that differ from the ledger."""
    totals = audit_log.totals(connection)
    accounts = defaultdict[str, dict[str, int]](dict)
    for key, minor in totals["accounts"].items():
        currency, _, account = key.partition(" ")
        accounts[currency][account] = minor
    broken = _without_currency(totals["unbooked_payments"])
    return {
        "saga_payments": _money(totals["saga_captured"], totals["saga_refunded"]),
        "other_payments": _money(totals["other_captured"], totals["other_refunded"]),
        "payments": totals["payments"],
        "accounts": accounts,
        "ledger_sum": sum(totals["accounts"].values()),
        "wallets": _wallets(totals["wallets"], accounts),
        "broken_payments": broken,
        "sagas_of_broken_payments": _sagas(connection, broken),
        "broken_wallets": _without_currency(totals["unbooked_wallets"]),
        "outbox": outbox.waiting(connection),
        "oldest_unpublished_seconds": outbox.oldest_seconds(connection),
    }


def _money(captured: Sums, refunded: Sums) -> dict[str, dict[str, int]]:
    """By currency: captured, refunded, and their difference."""
    return {
        currency: {
            "captured_minor": captured.get(currency, 0),
            "refunded_minor": refunded.get(currency, 0),
            "net_minor": captured.get(currency, 0) - refunded.get(currency, 0),
        }
        for currency in sorted(captured.keys() | refunded.keys())
    }


def _wallets(held: Sums, accounts: Mapping[str, Sums]) -> dict[str, dict[str, int]]:
    """By currency: the balance of the wallets, and the same according to the ledger."""
    booked = {currency: -sums["wallets"] for currency, sums in accounts.items() if "wallets" in sums}
    return {
        currency: {"balance_minor": held.get(currency, 0), "ledger_minor": booked.get(currency, 0)}
        for currency in sorted(held.keys() | booked.keys())
    }


def _sagas(connection: Connection, payment_ids: Sequence[str]) -> list[str]:
    """Return the sagas of these payments, without payments that no longer exist or belong to no saga."""
    if not payment_ids:
        return []
    statement = select(payments.c.saga_id).where(payments.c.id.in_(payment_ids), payments.c.saga_id.is_not(None))
    return sorted(map(str, connection.scalars(statement)))


def _without_currency(differences: Sums) -> list[str]:
    """The payments or wallets that differ from the ledger, up to `SHOWN`."""
    return sorted({key.rpartition(" ")[0] for key in differences})[:SHOWN]


audit = Audit(audit_log, books, _SAGA_IDS, facts_statement(_FACTS))
