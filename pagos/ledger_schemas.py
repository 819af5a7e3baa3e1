"""Response bodies of the ledger."""

from typing import Literal
from uuid import UUID

from pagos.domain import Transfer
from shared.http.schemas import Money, Time, View
from shared.money import to_decimal


class LedgerLineOut(View):
    """A movement of money: `amount` goes from the debit account to the credit account."""

    payment_id: UUID
    kind: Literal["capture", "refund"]
    debit_account: str
    credit_account: str
    amount: Money
    currency: str
    created_at: Time

    @classmethod
    def of(cls, transfer: Transfer) -> "LedgerLineOut":
        """Make the view of a transfer."""
        return cls(**vars(transfer), amount=to_decimal(transfer.amount_minor))


class LedgerOut(View):
    """The ledger lines of a saga, oldest first."""

    items: list[LedgerLineOut]
