"""Request and response bodies of pagos."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, ValidationInfo, field_validator

from pagos.domain import MerchantCharge, Method, Payment, PaymentStatus, SagaCharge, Transfer, VoidPayment, Wallet
from shared.http.openapi import problem
from shared.http.schemas import STORABLE, Amount, Body, Money, Time, UserId, View
from shared.ids import new_id
from shared.money import to_decimal

DECLINED = problem("Declined; the problem's `reason` says why")
Reference = Annotated[
    str, Field(min_length=1, max_length=64, description="the client's own name for it", examples=["shop-42"]), STORABLE
]


class PaymentIn(Body):
    """A payment outside of any saga; `user_id` is needed to pay from a wallet."""

    merchant_id: Reference
    order_id: Reference
    amount: Amount
    payment_method: Method
    user_id: UserId | None = Field(default=None, validate_default=True)

    @field_validator("user_id")
    @classmethod
    def _wallet_has_user(cls, user_id: str | None, info: ValidationInfo) -> str | None:
        if user_id is None and info.data.get("payment_method") is Method.WALLET:
            raise ValueError("is needed to pay from a wallet")
        return user_id

    def charge(self, currency: str) -> MerchantCharge:
        """The request as a value of the domain."""
        return MerchantCharge(
            id=new_id(),
            amount_minor=self.amount,
            currency=currency,
            payment_method=self.payment_method,
            user_id=self.user_id,
            merchant_id=self.merchant_id,
            order_id=self.order_id,
        )


class SagaPaymentIn(Body):
    """A saga's payment; without `saga_id` the cart's id is used.

    A client that chooses `payment_id` can request a refund without an answer to this request.
    """

    saga_id: UUID | None = None
    cart_id: UUID
    user_id: UserId
    amount: Amount
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = Field(
        default=None, description="of the amount (ISO 4217); the shop's if it is omitted"
    )
    payment_method: Method
    payment_id: UUID | None = None

    @property
    def saga(self) -> UUID:
        """The saga of the payment."""
        return self.saga_id or self.cart_id

    def charge(self, currency: str) -> SagaCharge:
        """The request as a value of the domain."""
        return SagaCharge(
            id=self.payment_id or new_id(),
            amount_minor=self.amount,
            currency=self.currency or currency,
            payment_method=self.payment_method,
            user_id=self.user_id,
            saga_id=self.saga,
            cart_id=self.cart_id,
            id_chosen=self.payment_id is not None,
        )


class RefundIn(Body):
    """The saga whose payment to refund. If it is named, a payment that was not requested yet is refused from now on."""

    saga_id: UUID | None = None
    reason: Annotated[str, Field(max_length=500), STORABLE] | None = None


class DepositIn(Body):
    """The amount to pay in."""

    amount: Amount


class PaymentPath(Body):
    """A payment."""

    payment_id: UUID


class CartPath(Body):
    """A cart."""

    cart_id: UUID


class SagaPath(Body):
    """A saga."""

    saga_id: UUID


class UserPath(Body):
    """A user."""

    user_id: UserId


class PaymentOut(View):
    """A payment outside of any saga; `id` and `payment_id` are the same."""

    id: UUID
    payment_id: UUID
    merchant_id: str
    order_id: str
    user_id: str | None
    amount: Money
    currency: str
    payment_method: Method
    status: PaymentStatus
    refunded: Money
    created_at: Time

    @classmethod
    def of(cls, payment: Payment) -> "PaymentOut":
        """Make the view of a payment."""
        return cls(**vars(payment), **_shown(payment))


class SagaPaymentOut(View):
    """A saga's payment; `id` and `payment_id` are the same, `reason` says why it was declined or refunded."""

    id: UUID
    payment_id: UUID
    saga_id: UUID
    cart_id: UUID | None = Field(description="null for a void payment")
    user_id: str | None = Field(description="null for a void payment")
    amount: Money
    currency: str
    payment_method: Method | None = Field(description="null for a void payment")
    status: PaymentStatus
    refunded: Money
    reason: str | None
    created_at: Time | None = Field(description="null for a void payment")

    @classmethod
    def of(cls, payment: Payment) -> "SagaPaymentOut":
        """Make the view of a payment."""
        return cls(**vars(payment), **_shown(payment))

    @classmethod
    def of_refunded(cls, payment: Payment | VoidPayment, currency: str) -> "SagaPaymentOut":
        """Make the view of a refunded or void payment."""
        if isinstance(payment, Payment):
            return cls.of(payment)
        return cls(
            id=payment.payment_id,
            payment_id=payment.payment_id,
            saga_id=payment.saga_id,
            cart_id=None,
            user_id=None,
            amount=to_decimal(0),
            currency=currency,
            payment_method=None,
            status=PaymentStatus.VOID,
            refunded=to_decimal(0),
            reason=None,
            created_at=None,
        )


class SagaPaymentsOut(View):
    """The saga payments of a cart, oldest first."""

    items: list[SagaPaymentOut]


class WalletOut(View):
    """A user's wallet."""

    user_id: str
    balance: Money
    currency: str

    @classmethod
    def of(cls, wallet: Wallet) -> "WalletOut":
        """Make the view of a wallet."""
        return cls(**vars(wallet), balance=to_decimal(wallet.balance_minor))


def _shown(payment: Payment) -> dict[str, Any]:
    """The fields of a payment whose name or form differs in its views."""
    return {
        "payment_id": payment.id,
        "amount": to_decimal(payment.amount_minor),
        "refunded": to_decimal(payment.refunded_minor),
    }


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
