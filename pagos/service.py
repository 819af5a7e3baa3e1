"""The use cases of pagos, one function each; every one runs inside the caller's transaction.

Those of sagas take what many sagas ask for, each saga once, and return an outcome for each, in their order.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ARRAY, Connection, Uuid, any_, bindparam, or_, select

from pagos import ledger_store
from pagos.domain import (
    CHARGE,
    MerchantCharge,
    OtherSaga,
    PaymentNotFound,
    PaymentStatus,
    Refund,
    SagaCharge,
    WalletNotFound,
    mismatch,
)
from pagos.models import barrier, payments, transfers, wallets
from shared.database.connections import Row
from shared.errors import DomainError
from shared.saga.barrier import ActionEntry, CompensationEntry
from shared.saga.repetition import contradiction
from shared.saga.standing import SagaStands

_RELATED = select(payments).where(
    or_(
        payments.c.saga_id == any_(bindparam("saga_ids", type_=ARRAY(Uuid))),
        payments.c.id == any_(bindparam("payment_ids", type_=ARRAY(Uuid))),
    )
)


@dataclass(frozen=True)
class Paid:
    """A saga's payment, and whether it was made just now."""

    row: Row
    first: bool


@dataclass(frozen=True)
class Refunded:
    """A saga's payment, None if it was never asked for; and whether the refund is new, also if it moved nothing."""

    row: Row | None
    first: bool


def pay(connection: Connection, charge: MerchantCharge) -> Row | DomainError:
    """A payment outside of any saga, or `PaymentDeclined`; then it is kept as declined."""
    [outcome] = ledger_store.charge(connection, [charge])
    return outcome


def pay_for_saga(connection: Connection, charges: Sequence[SagaCharge]) -> list[Paid | DomainError]:
    """Take each saga's money, once; the payments. Answers a repeated request as before.

    Refusals: `PaymentDeclined`, `PaymentIdTaken`, `Suspended` after a refund, and `RepeatedOtherwise` when the saga
    was charged for something else.
    """
    entries = barrier.enter_action(connection, CHARGE, {charge.saga_id: charge.named for charge in charges})
    outcomes: dict[UUID, Paid | DomainError] = {
        saga_id: entry for saga_id, entry in entries.items() if isinstance(entry, DomainError)
    }
    outcomes |= _pay_first(connection, [charge for charge in charges if entries[charge.saga_id] is ActionEntry.FIRST])
    outcomes |= _paid_before(
        connection, [charge for charge in charges if entries[charge.saga_id] is ActionEntry.REPEATED]
    )
    return [outcomes[charge.saga_id] for charge in charges]


def refund(
    connection: Connection, refunds: Sequence[Refund], proven: Collection[UUID] | None = None
) -> list[Refunded | DomainError]:
    """Give each saga's money back, once; the payments. One that was never asked for is None, and is never taken now.

    Refusals: `OtherSaga` when payment and saga do not belong together, and `SagaStands` for money that was captured by
    another saga than those of which it is `proven` that they turned back (None: all have).
    """
    undos = barrier.enter_compensation(
        connection, CHARGE, {each.saga_id: {"payment_id": each.payment_id} for each in refunds}
    )
    outcomes: dict[UUID, Refunded | DomainError] = {
        saga_id: undo for saga_id, undo in undos.items() if isinstance(undo, DomainError)
    }
    first = [each for each in refunds if undos[each.saga_id] is CompensationEntry.FIRST]
    outcomes |= _standing(connection, first, undos, proven)
    to_undo = [each for each in first if each.saga_id not in outcomes]
    given = ledger_store.give_back(connection, to_undo) if to_undo else {}
    outcomes |= {saga_id: Refunded(row, first=True) for saga_id, row in given.items()}
    outcomes |= _nothing_given(connection, [each for each in refunds if each.saga_id not in outcomes], undos)
    return [outcomes[each.saga_id] for each in refunds]


def sagas_of(connection: Connection, payment_ids: Sequence[UUID]) -> dict[UUID, UUID | DomainError]:
    """The saga of each payment, `PaymentNotFound`, or `OtherSaga` for one that is a merchant's."""
    found = {row["id"]: row["saga_id"] for row in _related(connection, [], payment_ids)}

    def saga_of(payment_id: UUID) -> UUID | DomainError:
        if payment_id not in found:
            return PaymentNotFound(f"there is no payment {payment_id}", payment_id=payment_id)
        return found[payment_id] or OtherSaga(f"payment {payment_id} is not of a saga", payment_id=payment_id)

    return {payment_id: saga_of(payment_id) for payment_id in payment_ids}


def payments_of_cart(connection: Connection, cart_id: UUID) -> Sequence[Row]:
    """The saga payments that a cart ever had, declined ones too, oldest first."""
    statement = select(payments).where(payments.c.cart_id == cart_id).order_by(payments.c.created_at, payments.c.id)
    return connection.execute(statement).mappings().all()


def ledger_of_saga(connection: Connection, saga_id: UUID) -> Sequence[Row]:
    """What the ledger has of a saga's payment, oldest first."""
    statement = select(transfers).join(payments).where(payments.c.saga_id == saga_id).order_by(transfers.c.id)
    return connection.execute(statement).mappings().all()


def deposit(connection: Connection, user_id: str, currency: str, amount_minor: int) -> Row:
    """Pay into a user's wallet; the wallet."""
    return ledger_store.deposit(connection, user_id, currency, amount_minor)


def get_wallet(connection: Connection, user_id: str, currency: str) -> Row:
    """A user's wallet; raises `WalletNotFound`."""
    statement = select(wallets).where(wallets.c.user_id == user_id, wallets.c.currency == currency)
    wallet = connection.execute(statement).mappings().first()
    if wallet is None:
        raise WalletNotFound(f"user {user_id} has no wallet", user_id=user_id)
    return wallet


def _pay_first(connection: Connection, charges: Sequence[SagaCharge]) -> dict[UUID, Paid | DomainError]:
    """Charges that were never asked for; what is refused now is refused for ever."""
    charged = dict(zip((charge.saga_id for charge in charges), ledger_store.charge(connection, charges), strict=True))
    barrier.refuse(
        connection, CHARGE, {saga_id: each for saga_id, each in charged.items() if isinstance(each, DomainError)}
    )
    return {
        saga_id: each if isinstance(each, DomainError) else Paid(each, first=True) for saga_id, each in charged.items()
    }


def _paid_before(connection: Connection, charges: Sequence[SagaCharge]) -> dict[UUID, Paid | DomainError]:
    """Charges that were captured before. The first may have left the payment's id to us, and one that names it not."""
    paid = {row["saga_id"]: row for row in _related(connection, [charge.saga_id for charge in charges], [])}
    made = {saga_id: {"payment_id": row["id"]} for saga_id, row in paid.items()}
    return {
        charge.saga_id: contradiction(charge.saga_id, CHARGE, made[charge.saga_id], charge.named)
        or Paid(paid[charge.saga_id], first=False)
        for charge in charges
    }


def _standing(
    connection: Connection,
    refunds: Sequence[Refund],
    undos: Mapping[UUID, CompensationEntry | DomainError],
    proven: Collection[UUID] | None,
) -> dict[UUID, SagaStands]:
    """The refusals of refunds of captured money that may be what an order was paid with; they leave no trace."""
    if proven is None:
        return {}
    doubtful = [each.saga_id for each in refunds if each.saga_id not in proven]
    captured = [row["saga_id"] for row in _related(connection, doubtful, []) if row["status"] == PaymentStatus.CAPTURED]
    barrier.withdraw(connection, CHARGE, {saga_id: undos[saga_id] for saga_id in captured})
    return {saga_id: SagaStands(saga_id, "the payment") for saga_id in captured}


def _nothing_given(
    connection: Connection, refunds: Sequence[Refund], undos: Mapping[UUID, CompensationEntry | DomainError]
) -> dict[UUID, Refunded | DomainError]:
    """Refunds of what was declined, never asked for, refunded before, or is not the saga's: that leaves no trace."""
    named = [each.payment_id for each in refunds if each.payment_id is not None]
    related = _related(connection, [each.saga_id for each in refunds], named)
    of_saga, of_id = {row["saga_id"]: row for row in related}, {row["id"]: row for row in related}
    outcomes: dict[UUID, Refunded | DomainError] = {}
    for each in refunds:
        own, named_one = of_saga.get(each.saga_id), of_id.get(each.payment_id)
        wrong = mismatch(each, [row for row in (own, named_one) if row is not None])
        outcomes[each.saga_id] = wrong or Refunded(own, first=undos[each.saga_id] is not CompensationEntry.REPEATED)
    mistaken = [saga_id for saga_id, outcome in outcomes.items() if isinstance(outcome, DomainError)]
    barrier.withdraw(connection, CHARGE, {saga_id: undos[saga_id] for saga_id in mistaken})
    return outcomes


def _related(connection: Connection, saga_ids: Sequence[UUID], payment_ids: Sequence[UUID]) -> Sequence[Row]:
    """The payments of these sagas, and those with these ids."""
    if not saga_ids and not payment_ids:
        return []
    return connection.execute(_RELATED, {"saga_ids": saga_ids, "payment_ids": payment_ids}).mappings().all()
