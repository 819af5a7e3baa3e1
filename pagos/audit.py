"""pagos's books: payments, wallets and the ledger, which must agree in every snapshot."""

from typing import Any

from sqlalchemy import BigInteger, Column, ColumnElement, Connection, case, func, literal, select, union_all
from sqlalchemy.sql.selectable import Subquery

from pagos.domain import CHARGE, REVENUE, PaymentStatus, wallet_account
from pagos.models import barrier, db, outbox, payments, transfers, wallets
from shared.audit import count_by, digest
from shared.barrier import COMPENSATION

SHOWN = 20  # of what is broken: enough to start looking
_OF_SAGA = payments.c.saga_id.is_not(None)
_CAPTURED = payments.c.status == PaymentStatus.CAPTURED
_TAKEN = payments.c.status != PaymentStatus.DECLINED


def audit() -> dict[str, Any]:
    """Money by currency, in minor units, and whatever payments, wallets and ledger do not agree on."""
    with db.transaction() as uow:
        uow.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        accounts = _accounts(uow)
        return {
            "saga_payments": _money(uow, _OF_SAGA),
            "other_payments": _money(uow, ~_OF_SAGA),
            "payments": count_by(uow, payments.c.status),
            "accounts": accounts,
            "ledger_sum": sum(sum(balances.values()) for balances in accounts.values()),
            "wallets": _wallets(uow),
            "broken_payments": _broken_payments(uow),
            "broken_wallets": _broken_wallets(uow),
            "overpaid_sagas": _overpaid_sagas(uow),
            "undone_but_paid_sagas": _undone_but_paid_sagas(uow),
            "paid_sagas": digest(uow, payments.c.saga_id, _OF_SAGA & _CAPTURED),
            "outbox": outbox.waiting(uow),
        }


def _money(uow: Connection, condition: ColumnElement[bool]) -> dict[str, dict[str, int]]:
    """By currency: captured, refunded, and what is left."""
    captured, refunded = _sum(payments.c.amount_minor), _sum(payments.c.refunded_minor)
    sums = [
        captured.label("captured_minor"),
        refunded.label("refunded_minor"),
        (captured - refunded).label("net_minor"),
    ]
    statement = select(payments.c.currency, *sums).where(_TAKEN, condition).group_by(payments.c.currency)
    return {row.pop("currency"): row for row in map(dict, uow.execute(statement).mappings())}


def _accounts(uow: Connection) -> dict[str, dict[str, int]]:
    """By currency: the balance of each account, that of all wallets as one. They add up to zero."""
    balances = _balances()
    name = func.regexp_replace(balances.c.account, f"^{wallet_account('')}.*", "wallets").label("name")
    found: dict[str, dict[str, int]] = {}
    for row in uow.execute(select(balances.c.currency, name, _sum(balances.c.minor)).group_by("currency", name)):
        found.setdefault(row[0], {})[row[1]] = row[2]
    return found


def _wallets(uow: Connection) -> dict[str, dict[str, int]]:
    """By currency: what the wallets hold, and what the ledger says they do."""
    in_wallets = select(wallets.c.currency, _sum(wallets.c.balance_minor)).group_by(wallets.c.currency)
    accounts = _balances()
    in_ledger = (
        select(accounts.c.currency, _sum(-accounts.c.minor))
        .where(accounts.c.account.startswith(wallet_account("")))
        .group_by(accounts.c.currency)
    )
    held = {row[0]: row[1] for row in uow.execute(in_wallets)}
    booked = {row[0]: row[1] for row in uow.execute(in_ledger)}
    return {
        currency: {"balance_minor": held.get(currency, 0), "ledger_minor": booked.get(currency, 0)}
        for currency in sorted(held.keys() | booked.keys())
    }


def _broken_payments(uow: Connection) -> list[Any]:
    """Payments of which the ledger earned something else than they say."""
    earned = case(
        (transfers.c.credit_account == REVENUE, transfers.c.amount_minor),
        (transfers.c.debit_account == REVENUE, -transfers.c.amount_minor),
        else_=0,
    )
    booked = (
        select(transfers.c.payment_id, transfers.c.currency, _sum(earned).label("minor"))
        .group_by(transfers.c.payment_id, transfers.c.currency)
        .subquery("booked")
    )
    kept = case((_TAKEN, payments.c.amount_minor), else_=0) - payments.c.refunded_minor
    statement = (
        select(payments.c.id)
        .outerjoin(booked, (booked.c.payment_id == payments.c.id) & (booked.c.currency == payments.c.currency))
        .where(func.coalesce(booked.c.minor, 0) != kept)
    )
    return list(uow.scalars(statement.limit(SHOWN)))


def _broken_wallets(uow: Connection) -> list[Any]:
    """Accounts of wallets that hold something else than the ledger says, or that only one of both knows."""
    balances = _balances()
    account = literal(wallet_account("")) + wallets.c.user_id
    both = wallets.join(
        balances, (balances.c.account == account) & (balances.c.currency == wallets.c.currency), full=True
    )
    statement = (
        select(func.coalesce(account, balances.c.account))
        .select_from(both)
        .where(
            wallets.c.user_id.is_not(None) | balances.c.account.startswith(wallet_account("")),
            func.coalesce(wallets.c.balance_minor, 0) + func.coalesce(balances.c.minor, 0) != 0,
        )
    )
    return list(uow.scalars(statement.limit(SHOWN)))


def _overpaid_sagas(uow: Connection) -> list[Any]:
    """Sagas whose money was taken more than once."""
    taken = select(payments.c.saga_id).where(_OF_SAGA, _TAKEN).group_by(payments.c.saga_id).having(func.count() > 1)
    return list(uow.scalars(taken.limit(SHOWN)))


def _undone_but_paid_sagas(uow: Connection) -> list[Any]:
    """Sagas whose payment was compensated, and whose money is with us all the same."""
    undone = (barrier.table.c.step == CHARGE) & (barrier.table.c.direction == COMPENSATION)
    statement = (
        select(payments.c.saga_id)
        .join(barrier.table, barrier.table.c.saga_id == payments.c.saga_id)
        .where(undone, _CAPTURED)
    )
    return list(uow.scalars(statement.limit(SHOWN)))


def _balances() -> Subquery:
    """The balance of each account and currency: every transfer adds to one and takes as much from another."""
    amount = transfers.c.amount_minor
    sides = union_all(
        select(transfers.c.debit_account.label("account"), transfers.c.currency, amount.label("minor")),
        select(transfers.c.credit_account, transfers.c.currency, -amount),
    ).subquery("sides")
    return (
        select(sides.c.account, sides.c.currency, _sum(sides.c.minor).label("minor"))
        .group_by(sides.c.account, sides.c.currency)
        .subquery("balances")
    )


def _sum(column: Column[int] | ColumnElement[int]) -> ColumnElement[int]:
    return func.coalesce(func.sum(column), 0).cast(BigInteger)
