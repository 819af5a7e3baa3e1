"""The SQL statements that move money. Each changes payments or wallets and books the transfers, for many sagas.

Ids to look up are passed as arrays, whose length PostgreSQL knows when it plans. Of JSON it expects a hundred rows, for
which it may plan to read a whole table.
"""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from uuid import UUID

from sqlalchemy import Connection

from pagos import wallet_store
from pagos.domain import (
    ALWAYS_DECLINED,
    CASH,
    Charge,
    Decline,
    Method,
    Payment,
    PaymentIdTaken,
    PaymentStatus,
    Refund,
    Transfer,
    Wallet,
    declined,
    funding_account,
    wallet_account,
)
from pagos.models import payments
from shared.batching.partition import in_unique_batches
from shared.database.prepared import columns_of, prepared
from shared.errors import DomainError
from shared.json_codec import dumps

_STORE = prepared(f"""
    WITH charges AS (
        SELECT * FROM json_to_recordset(:charges) AS charge (
            id uuid, saga_id uuid, cart_id uuid, merchant_id text, order_id text, user_id text, amount_minor bigint,
            currency text, payment_method text, status text, reason text, account text
        )
    ), stored AS (
        INSERT INTO payments (
            id, saga_id, cart_id, merchant_id, order_id, user_id, amount_minor, currency, payment_method, status, reason
        )
        SELECT
            id, saga_id, cart_id, merchant_id, order_id, user_id, amount_minor, currency, payment_method, status, reason
        FROM charges ORDER BY id
        ON CONFLICT (id) DO NOTHING
        RETURNING {columns_of(payments)}
    ), booked AS (
        INSERT INTO ledger_transfers (payment_id, kind, debit_account, credit_account, amount_minor, currency)
        SELECT id, 'capture', account, 'revenue', stored.amount_minor, stored.currency
        FROM stored JOIN charges USING (id) WHERE stored.status = 'captured'
    )
    SELECT * FROM stored
""")  # noqa: S608  (our own)

_GIVE_BACK = prepared(f"""
    WITH refunded AS (
        UPDATE payments SET status = 'refunded', refunded_minor = amount_minor, reason = refunds.reason
        FROM unnest(CAST(:saga_ids AS uuid[]), CAST(:reasons AS text[])) AS refunds (saga_id, reason)
        WHERE payments.saga_id = refunds.saga_id AND status = 'captured'
        RETURNING {columns_of(payments)}
    ), booked AS (
        INSERT INTO ledger_transfers (payment_id, kind, debit_account, credit_account, amount_minor, currency)
        SELECT refunded.id, 'refund', there.credit_account, there.debit_account, there.amount_minor, there.currency
        FROM refunded JOIN ledger_transfers AS there ON there.payment_id = refunded.id AND there.kind = 'capture'
    ), filled AS (
        INSERT INTO wallets (user_id, currency, balance_minor)
        SELECT user_id, currency, sum(amount_minor) FROM refunded WHERE payment_method = 'wallet'
        GROUP BY user_id, currency ORDER BY user_id, currency
        ON CONFLICT (user_id, currency) DO UPDATE SET balance_minor = wallets.balance_minor + excluded.balance_minor
    )
    SELECT * FROM refunded
""")  # noqa: S608  (our own)
_DEPOSIT = prepared("""
    INSERT INTO ledger_transfers (kind, debit_account, credit_account, amount_minor, currency)
    VALUES ('deposit', :debit_account, :credit_account, :amount_minor, CAST(:currency AS text))
""")
_OF_SAGA = prepared("""
    SELECT payment_id, kind, debit_account, credit_account, transfers.amount_minor, transfers.currency,
        transfers.created_at
    FROM payments JOIN ledger_transfers AS transfers ON transfers.payment_id = payments.id
    WHERE payments.saga_id = :saga_id ORDER BY transfers.id
""")


def charge(connection: Connection, charges: Sequence[Charge]) -> list[Payment | DomainError]:
    """Capture and book payments.

    Refusals: `PaymentDeclined`, which is stored as a declined payment; `PaymentIdTaken` when another payment has that
    id, also one of an earlier charge in the list.
    """
    return in_unique_batches(charges, attrgetter("id"), lambda batch: _charge(connection, batch))


def give_back(connection: Connection, refunds: Sequence[Refund]) -> dict[UUID, Payment]:
    """Refund captured payments and book the reverse of their captures; return those refunded just now, by saga."""
    if not refunds:
        return {}
    columns = {"saga_ids": [each.saga_id for each in refunds], "reasons": [each.reason for each in refunds]}
    return {row["saga_id"]: Payment(**row) for row in connection.execute(_GIVE_BACK, columns).mappings()}


def deposit(connection: Connection, user_id: str, currency: str, amount_minor: int) -> Wallet:
    """Pay cash into a wallet, which is created if there is none."""
    accounts = {"debit_account": CASH, "credit_account": wallet_account(user_id)}
    connection.execute(_DEPOSIT, {**accounts, "amount_minor": amount_minor, "currency": currency})
    return wallet_store.fill(connection, user_id, currency, amount_minor)


def of_saga(connection: Connection, saga_id: UUID) -> list[Transfer]:
    """Return the transfers of a saga's payment, oldest first."""
    return [Transfer(**row) for row in connection.execute(_OF_SAGA, {"saga_id": saga_id}).mappings()]


def _charge(connection: Connection, charges: Sequence[Charge]) -> list[Payment | DomainError]:
    declines = _declines(connection, charges)
    stored = _store(connection, charges, declines)
    outcomes: list[Payment | DomainError] = []
    for charge in charges:
        if charge.id not in stored:
            _put_back(connection, charge, declines)
            outcomes.append(PaymentIdTaken(f"there is another payment {charge.id}", payment_id=charge.id))
        else:
            outcomes.append(declined(charge, declines[charge.id]) if charge.id in declines else stored[charge.id])
    return outcomes


def _declines(connection: Connection, charges: Sequence[Charge]) -> dict[UUID, Decline]:
    """Draw charges on wallets, in the order of users; return why charges are declined, by payment."""
    methods = {charge.id: charge.payment_method for charge in charges}
    declines = {
        payment_id: ALWAYS_DECLINED[method] for payment_id, method in methods.items() if method in ALWAYS_DECLINED
    }
    from_wallets = [charge for charge in charges if charge.payment_method is Method.WALLET]
    for charge in sorted(from_wallets, key=lambda each: str(each.user_id)):
        if not wallet_store.draw(connection, charge):
            declines[charge.id] = Decline.WALLET_SHORT
    return declines


def _store(connection: Connection, charges: Sequence[Charge], declines: Mapping[UUID, Decline]) -> dict[UUID, Payment]:
    """Insert the payments; return those whose id was not taken, by id."""
    rows = [
        {
            **vars(charge),
            "status": PaymentStatus.DECLINED if charge.id in declines else PaymentStatus.CAPTURED,
            "reason": declines.get(charge.id),
            "account": funding_account(charge),
        }
        for charge in charges
    ]
    return {row["id"]: Payment(**row) for row in connection.execute(_STORE, {"charges": dumps(rows)}).mappings()}


def _put_back(connection: Connection, charge: Charge, declines: Mapping[UUID, Decline]) -> None:
    """Return the drawn money of a payment whose id another transaction took at the same moment."""
    if charge.payment_method is Method.WALLET and charge.id not in declines:
        wallet_store.put_back(connection, charge)
