"""The rules of payments: methods, states, accounts and named errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from shared.errors import Conflict, NotFound, PaymentRequired
from shared.saga.repetition import NamedFields

CHARGE = "process_payment"

CASH = "cash"  # money paid into wallets
REVENUE = "revenue"  # money earned


class PaymentStatus(StrEnum):
    """captured -> refunded; declined. A void payment was compensated before it was made; no row is stored for it."""

    CAPTURED = "captured"
    DECLINED = "declined"
    REFUNDED = "refunded"
    VOID = "void"


class Method(StrEnum):
    """How a user pays; the last three are always declined, to show and test failures."""

    CREDIT_CARD = "credit_card"
    DEBIT_CARD = "debit_card"
    PAYPAL = "paypal"
    WALLET = "wallet"
    INVALID_CARD = "invalid_card"
    DECLINED_CARD = "declined_card"
    INSUFFICIENT_FUNDS = "insufficient_funds"


class Decline(StrEnum):
    """Why a payment was declined."""

    INVALID_CARD = "invalid_card"
    DECLINED_CARD = "declined_card"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    WALLET_SHORT = "wallet_short"


ALWAYS_DECLINED: Mapping[Method, Decline] = {
    Method.INVALID_CARD: Decline.INVALID_CARD,
    Method.DECLINED_CARD: Decline.DECLINED_CARD,
    Method.INSUFFICIENT_FUNDS: Decline.INSUFFICIENT_FUNDS,
}
IN_WORDS: Mapping[Decline, str] = {
    Decline.INVALID_CARD: "the card is not valid",
    Decline.DECLINED_CARD: "the card's issuer declined it",
    Decline.INSUFFICIENT_FUNDS: "the card's account does not hold enough",
    Decline.WALLET_SHORT: "the wallet does not hold enough",
}


class PaymentNotFound(NotFound):
    """No such payment."""


class WalletNotFound(NotFound):
    """No such wallet."""


class PaymentIdTaken(Conflict):
    """Another payment has this id."""


class OtherSaga(Conflict):
    """The payment is not this saga's."""


class PaymentDeclined(PaymentRequired):
    """The payment was declined."""


@dataclass(frozen=True, kw_only=True)
class Charge:
    """A request to take money, in minor units. The fields are named like their columns."""

    id: UUID
    amount_minor: int
    currency: str
    payment_method: Method
    user_id: str | None


@dataclass(frozen=True, kw_only=True)
class MerchantCharge(Charge):
    """A charge outside of any saga; merchant and order are the client's own names."""

    merchant_id: str
    order_id: str


@dataclass(frozen=True, kw_only=True)
class SagaCharge(Charge):
    """A saga's charge; `id_chosen`: the request named the payment's id.

    `billed_order_id` is the order that a choreographed saga will make, as its bill says.
    """

    saga_id: UUID
    cart_id: UUID
    id_chosen: bool = True
    billed_order_id: UUID | None = None

    @property
    def named(self) -> NamedFields:
        """The fields in which a repeated request must be the same."""
        fields = ("cart_id", "user_id", "amount_minor", "currency", "payment_method")
        ids = {"payment_id": self.id if self.id_chosen else None, "order_id": self.billed_order_id}
        return {**{name: getattr(self, name) for name in fields}, **ids}


@dataclass(frozen=True)
class Refund:
    """A request to refund whatever a saga paid. The payment with `payment_id` must not be another saga's."""

    saga_id: UUID
    payment_id: UUID | None = None
    reason: str | None = None

    @property
    def named(self) -> NamedFields:
        """No fields: a compensation is for its saga, also if somebody else requested the step, and otherwise."""
        return {}


@dataclass(frozen=True)
class Payment:
    """A stored payment, of a saga or of a merchant. Money is in minor units."""

    id: UUID
    saga_id: UUID | None
    cart_id: UUID | None
    merchant_id: str | None
    order_id: str | None
    user_id: str | None
    amount_minor: int
    refunded_minor: int
    currency: str
    payment_method: str
    status: str
    reason: str | None  # why it was declined or refunded
    created_at: datetime


@dataclass(frozen=True)
class VoidPayment:
    """A saga's payment that was refunded before it was made, and never will be made; no row is stored for it."""

    saga_id: UUID
    payment_id: UUID | None
    refunded_minor: int = 0


@dataclass(frozen=True)
class Wallet:
    """A user's wallet; the balance is in minor units."""

    user_id: str
    currency: str
    balance_minor: int


@dataclass(frozen=True)
class Transfer:
    """A movement of money in the ledger, from the debit account to the credit account, in minor units."""

    payment_id: UUID | None
    kind: str
    debit_account: str
    credit_account: str
    amount_minor: int
    currency: str
    created_at: datetime


def wallet_account(user_id: str | None) -> str:
    """Return the ledger's account of a user's wallet."""
    return f"wallet:{user_id}"


def funding_account(charge: Charge) -> str:
    """Return the account that a charge takes money from."""
    if charge.payment_method is Method.WALLET:
        return wallet_account(charge.user_id)
    return f"clearing:{charge.payment_method}"


def declined(charge: Charge, why: Decline) -> PaymentDeclined:
    """Make the refusal of a charge."""
    saga = {"saga_id": charge.saga_id} if isinstance(charge, SagaCharge) else {}
    return PaymentDeclined(IN_WORDS[why], reason=why.value, payment_id=charge.id, **saga)


def of_another_saga(refund: Refund) -> OtherSaga:
    """Make the refusal of a refund that names another saga's payment."""
    saga_id, payment_id = refund.saga_id, refund.payment_id
    other = {"saga_id": saga_id, "payment_id": payment_id, "field": "saga_id"}
    return OtherSaga(f"payment {payment_id} is not of saga {saga_id}", **other)
