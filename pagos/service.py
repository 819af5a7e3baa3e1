"""The use cases of pagos, one function each; every one runs inside the caller's transaction."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, or_, select

from pagos import ledger
from pagos.domain import (
    ALWAYS_DECLINED,
    CHARGE,
    Charge,
    Decline,
    MerchantCharge,
    Method,
    OtherSaga,
    PaymentDeclined,
    PaymentIdTaken,
    PaymentNotFound,
    SagaCharge,
    WalletNotFound,
    check_same_charge,
    check_together,
    declined,
)
from pagos.models import barrier, payments, wallets
from shared.barrier import Entry, Undo
from shared.db import Row
from shared.errors import DomainError


def pay(uow: Connection, charge: MerchantCharge) -> Row:
    """A payment outside of any saga; raises `PaymentDeclined`, and the payment is kept as declined."""
    payment, refusal = _charge(uow, charge)
    if refusal is not None:
        raise refusal
    return payment


def pay_for_saga(uow: Connection, charge: SagaCharge) -> Row:
    """Take the saga's money, once. Answers a repeated request as before.

    Raises `PaymentDeclined`, `Suspended` after a refund, `PaymentIdTaken`, and `ChargedOtherwise` when the saga
    paid for something else.
    """
    if not _entered(uow, charge.saga_id):
        payment = uow.execute(select(payments).where(payments.c.saga_id == charge.saga_id)).mappings().one()
        check_same_charge(charge, payment)
        return payment
    payment, refusal = _charge(uow, charge)
    if refusal is not None:
        barrier.refuse(uow, CHARGE, {charge.saga_id: refusal})
        raise refusal
    return payment


def refund(uow: Connection, payment_id: UUID, saga_id: UUID, reason: str | None) -> Row | None:
    """Give a saga's money back, once; None when it was never asked for, and from now on it is never taken.

    Raises `OtherSaga` when payment and saga do not belong together.
    """
    if barrier.enter_undo(uow, CHARGE, [saga_id])[saga_id] is Undo.FIRST:
        refunded = ledger.give_back(uow, payment_id, saga_id, reason)
        if refunded is not None:
            return refunded
    related = or_(payments.c.id == payment_id, payments.c.saga_id == saga_id)
    payment = None
    for payment in uow.execute(select(payments).where(related)).mappings():
        check_together(payment, payment_id, saga_id)
    return payment


def saga_of(uow: Connection, payment_id: UUID) -> UUID:
    """The saga of a payment; raises `PaymentNotFound`, and `OtherSaga` for one that is a merchant's."""
    payment = uow.execute(select(payments.c.saga_id).where(payments.c.id == payment_id)).first()
    if payment is None:
        raise PaymentNotFound(f"there is no payment {payment_id}", payment_id=payment_id)
    saga_id: UUID | None = payment.saga_id
    if saga_id is None:
        raise OtherSaga(f"payment {payment_id} is not of a saga", payment_id=payment_id)
    return saga_id


def payments_of_cart(uow: Connection, cart_id: UUID) -> Sequence[Row]:
    """The saga payments that a cart ever had, declined ones too, oldest first."""
    statement = select(payments).where(payments.c.cart_id == cart_id).order_by(payments.c.created_at, payments.c.id)
    return uow.execute(statement).mappings().all()


def deposit(uow: Connection, user_id: str, currency: str, amount_minor: int) -> Row:
    """Pay into a user's wallet; the wallet."""
    return ledger.deposit(uow, user_id, currency, amount_minor)


def get_wallet(uow: Connection, user_id: str, currency: str) -> Row:
    """A user's wallet; raises `WalletNotFound`."""
    statement = select(wallets).where(wallets.c.user_id == user_id, wallets.c.currency == currency)
    wallet = uow.execute(statement).mappings().first()
    if wallet is None:
        raise WalletNotFound(f"user {user_id} has no wallet", user_id=user_id)
    return wallet


def _entered(uow: Connection, saga_id: UUID) -> bool:
    entry = barrier.enter(uow, CHARGE, [saga_id])[saga_id]
    if isinstance(entry, DomainError):
        raise entry
    return entry is Entry.FIRST


def _charge(uow: Connection, charge: Charge) -> tuple[Row, PaymentDeclined | None]:
    """The payment, captured or declined, and the refusal if it was declined; raises `PaymentIdTaken`."""
    why = ALWAYS_DECLINED.get(charge.payment_method)
    if charge.payment_method is Method.WALLET and not ledger.draw(uow, charge):
        why = Decline.WALLET_SHORT
    payment = ledger.capture(uow, charge) if why is None else ledger.decline(uow, charge, why)
    if payment is None:
        raise PaymentIdTaken(f"there is another payment {charge.id}", payment_id=charge.id)
    return payment, None if why is None else declined(charge, why)
