"""The statements that move money: each changes a payment or a wallet and books the transfer, in one go."""

from typing import Any
from uuid import UUID

from sqlalchemy import CTE, Connection, Select, insert, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from pagos.domain import CASH, REVENUE, Charge, Decline, Method, PaymentStatus, funding_account, wallet_account
from pagos.models import payments, transfers, wallets
from shared.db import Row


def capture(uow: Connection, charge: Charge) -> Row | None:
    """Store a payment that is funded and book it; None when its id is taken."""
    paid = _new(charge, PaymentStatus.CAPTURED).cte("paid")
    source = literal(funding_account(charge))
    booked = _booked(
        select(paid.c.id, literal("capture"), source, literal(REVENUE), paid.c.amount_minor, paid.c.currency)
    )
    return uow.execute(select(paid).add_cte(booked)).mappings().first()


def decline(uow: Connection, charge: Charge, why: Decline) -> Row | None:
    """Store a payment that is not to be; None when its id is taken."""
    return uow.execute(_new(charge, PaymentStatus.DECLINED, why)).mappings().first()


def give_back(uow: Connection, payment_id: UUID, saga_id: UUID, reason: str | None) -> Row | None:
    """Refund a captured payment by booking its reverse; None when there is none with these ids."""
    refunded = (
        update(payments)
        .where(
            payments.c.id == payment_id,
            payments.c.saga_id == saga_id,
            payments.c.status == PaymentStatus.CAPTURED,
        )
        .values(status=PaymentStatus.REFUNDED, refunded_minor=payments.c.amount_minor, reason=reason)
        .returning(payments)
        .cte("refunded")
    )
    there = transfers.alias("there")
    booked = _booked(
        select(
            refunded.c.id,
            literal("refund"),
            there.c.credit_account,
            there.c.debit_account,
            there.c.amount_minor,
            there.c.currency,
        ).where(there.c.payment_id == refunded.c.id, there.c.kind == "capture")
    )
    payment = uow.execute(select(refunded).add_cte(booked)).mappings().first()
    if payment is not None and payment["payment_method"] == Method.WALLET:
        _fill(uow, payment["user_id"], payment["currency"], payment["amount_minor"])
    return payment


def draw(uow: Connection, charge: Charge) -> bool:
    """Take the money for a charge from its user's wallet, if it holds enough; `capture` books it."""
    statement = (
        update(wallets)
        .where(
            wallets.c.user_id == charge.user_id,
            wallets.c.currency == charge.currency,
            wallets.c.balance_minor >= charge.amount_minor,
        )
        .values(balance_minor=wallets.c.balance_minor - charge.amount_minor)
    )
    return uow.execute(statement).rowcount == 1


def deposit(uow: Connection, user_id: str, currency: str, amount_minor: int) -> Row:
    """Pay cash into a wallet, which is made when there is none."""
    uow.execute(
        insert(transfers).values(
            kind="deposit",
            debit_account=CASH,
            credit_account=wallet_account(user_id),
            amount_minor=amount_minor,
            currency=currency,
        )
    )
    return _fill(uow, user_id, currency, amount_minor)


def _fill(uow: Connection, user_id: str, currency: str, amount_minor: int) -> Row:
    new = upsert(wallets).values(user_id=user_id, currency=currency, balance_minor=amount_minor)
    statement = new.on_conflict_do_update(
        index_elements=[wallets.c.user_id, wallets.c.currency],
        set_={"balance_minor": wallets.c.balance_minor + new.excluded.balance_minor},
    ).returning(wallets)
    return uow.execute(statement).mappings().one()


def _new(charge: Charge, status: PaymentStatus, why: Decline | None = None) -> Any:
    statement = upsert(payments).values(**vars(charge), status=status, reason=why)
    return statement.on_conflict_do_nothing(index_elements=[payments.c.id]).returning(payments)


def _booked(transfer: Select[Any]) -> CTE:
    """The ledger's row for each row of the select, as a part of the statement that has it as its source."""
    columns = ["payment_id", "kind", "debit_account", "credit_account", "amount_minor", "currency"]
    return insert(transfers).from_select(columns, transfer).cte("booked")
