"""The use cases of pagos, one function each; each runs in the caller's transaction.

The steps of sagas take one command of each of many sagas, and return an outcome for each, in the order of the commands.
"""

from collections.abc import Collection, Sequence
from functools import partial
from uuid import UUID

from sqlalchemy import Connection

from pagos import ledger_store, payment_store, wallet_store
from pagos.domain import (
    CHARGE,
    MerchantCharge,
    OtherSaga,
    Payment,
    PaymentNotFound,
    PaymentStatus,
    Refund,
    SagaCharge,
    Transfer,
    VoidPayment,
    Wallet,
    WalletNotFound,
    of_another_saga,
)
from pagos.models import barrier
from shared.errors import DomainError
from shared.saga.barrier import BySaga, Done
from shared.saga.repetition import contradiction
from shared.saga.standing import SagaStands


def pay(connection: Connection, charge: MerchantCharge) -> Payment | DomainError:
    """Take a payment outside of any saga; refusal: `PaymentDeclined`, which is stored as a declined payment."""
    [outcome] = ledger_store.charge(connection, [charge])
    return outcome


def pay_for_saga(connection: Connection, charges: Sequence[SagaCharge]) -> list[Done[Payment] | DomainError]:
    """Take each saga's payment, once. A repeated request gets the same outcome.

    Refusals: `PaymentDeclined`, `PaymentIdTaken`, `Suspended` after a refund, and `RepeatedOtherwise` when the saga
    was charged for something else.
    """
    return barrier.once(
        connection,
        CHARGE,
        charges,
        first=partial(_pay_first, connection),
        repeated=partial(_paid_before, connection),
    )


def refund(
    connection: Connection, refunds: Sequence[Refund], turned_back: Collection[UUID] | None = None
) -> list[Done[Payment | VoidPayment] | DomainError]:
    """Refund each saga's payment, once. A payment that was never requested is void, and is refused from now on.

    `turned_back` names the sagas that are known to have turned back; None: all of them. Refusals: `OtherSaga` when the
    saga has no payment and the named one is another saga's; `SagaStands` for a captured payment of a saga that is not
    in `turned_back`.
    """
    return barrier.compensate(connection, CHARGE, refunds, partial(_refund, connection, turned_back))


def sagas_of(connection: Connection, payment_ids: Sequence[UUID]) -> dict[UUID, UUID | DomainError]:
    """Return the saga of each payment, `PaymentNotFound`, or `OtherSaga` for a merchant's payment."""
    found = {payment.id: payment.saga_id for payment in payment_store.find(connection, [], payment_ids)}

    def saga_of(payment_id: UUID) -> UUID | DomainError:
        if payment_id not in found:
            return PaymentNotFound(f"there is no payment {payment_id}", payment_id=payment_id)
        return found[payment_id] or OtherSaga(f"payment {payment_id} is not of a saga", payment_id=payment_id)

    return {payment_id: saga_of(payment_id) for payment_id in payment_ids}


def payments_of_cart(connection: Connection, cart_id: UUID) -> Sequence[Payment]:
    """Return all saga payments that a cart ever had, also declined ones, oldest first."""
    return payment_store.of_cart(connection, cart_id)


def ledger_of_saga(connection: Connection, saga_id: UUID) -> Sequence[Transfer]:
    """Return the ledger's transfers of a saga's payment, oldest first."""
    return ledger_store.of_saga(connection, saga_id)


def deposit(connection: Connection, user_id: str, currency: str, amount_minor: int) -> Wallet:
    """Pay into a user's wallet and return it."""
    return ledger_store.deposit(connection, user_id, currency, amount_minor)


def get_wallet(connection: Connection, user_id: str, currency: str) -> Wallet:
    """Return a user's wallet; raises `WalletNotFound`."""
    wallet = wallet_store.get(connection, user_id, currency)
    if wallet is None:
        raise WalletNotFound(f"user {user_id} has no wallet", user_id=user_id)
    return wallet


def _pay_first(connection: Connection, charges: Sequence[SagaCharge]) -> BySaga[Payment]:
    charged = ledger_store.charge(connection, charges)
    return dict(zip((charge.saga_id for charge in charges), charged, strict=True))


def _paid_before(connection: Connection, charges: Sequence[SagaCharge]) -> BySaga[Payment]:
    """Return the payments captured before. A repeated request may name an id although the first one named none."""
    found = payment_store.find(connection, [charge.saga_id for charge in charges], [])
    paid = {payment.saga_id: payment for payment in found}
    made = {saga_id: {"payment_id": payment.id} for saga_id, payment in paid.items()}
    return {
        charge.saga_id: contradiction(charge.saga_id, CHARGE, made[charge.saga_id], charge.named)
        or paid[charge.saga_id]
        for charge in charges
    }


def _refund(
    connection: Connection,
    turned_back: Collection[UUID] | None,
    first: Sequence[Refund],
    others: Sequence[Refund],
) -> BySaga[Payment | VoidPayment]:
    standing = _standing(connection, first, turned_back)
    refunded = ledger_store.give_back(connection, [each for each in first if each.saga_id not in standing])
    unchanged = [each for each in (*first, *others) if each.saga_id not in standing and each.saga_id not in refunded]
    return {**standing, **refunded, **_nothing_refunded(connection, unchanged)}


def _standing(
    connection: Connection, refunds: Sequence[Refund], turned_back: Collection[UUID] | None
) -> dict[UUID, SagaStands]:
    """The refusals of refunds of captured payments whose saga may stand."""
    if turned_back is None:
        return {}
    unproven = [each.saga_id for each in refunds if each.saga_id not in turned_back]
    return {
        payment.saga_id: SagaStands(payment.saga_id, "the payment")
        for payment in payment_store.find(connection, unproven, [])
        if payment.status == PaymentStatus.CAPTURED and payment.saga_id is not None
    }


def _nothing_refunded(connection: Connection, refunds: Sequence[Refund]) -> BySaga[Payment | VoidPayment]:
    """The outcomes of refunds that changed nothing: declined, void or refunded payments, or refusals."""
    named = [each.payment_id for each in refunds if each.payment_id is not None]
    found = payment_store.find(connection, [each.saga_id for each in refunds], named)
    by_saga, by_id = {payment.saga_id: payment for payment in found}, {payment.id: payment for payment in found}
    outcomes: dict[UUID, Payment | VoidPayment | DomainError] = {}
    for each in refunds:
        own = by_saga.get(each.saga_id)
        of_another = None if each.payment_id not in by_id else of_another_saga(each)
        outcomes[each.saga_id] = own or of_another or VoidPayment(each.saga_id, each.payment_id)
    return outcomes
