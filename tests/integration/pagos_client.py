"""A client of pagos with its vocabulary. Every answer must be one that its OpenAPI document declares."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from werkzeug.test import TestResponse

from pagos.domain import Method, SagaCharge
from shared.ids import new_id
from tests.integration.api_client import ApiClient

PAYMENTS = "/api/v1/payments/saga"
DECLINED = ("invalid_card", "declined_card", "insufficient_funds", "wallet")  # a new user's wallet is empty


class Pagos(ApiClient):
    """The client of one app. Thread-safe."""

    def pay(self, amount: Any = 10, method: str = "credit_card", user_id: str | None = None) -> TestResponse:
        body = {"merchant_id": "m-1", "order_id": "o-1", "amount": amount, "payment_method": method}
        return self.post("/api/v1/payments", body if user_id is None else {**body, "user_id": user_id})

    def charge(self, saga: "Saga", **changes: Any) -> TestResponse:
        return self.post(PAYMENTS, saga.charge | changes)

    def refund(self, saga: "Saga", **changes: Any) -> TestResponse:
        return self.refund_payment(saga.payment_id, **({"saga_id": saga.saga_id} | changes))

    def refund_payment(self, payment_id: object, **body: Any) -> TestResponse:
        return self.post(f"{PAYMENTS}/{payment_id}/refund", body)

    def payments_of(self, saga: "Saga") -> list[dict[str, Any]]:
        return list(self.get(f"{PAYMENTS}/{saga.cart_id}").json["items"])  # type: ignore[index]

    def deposit(self, user_id: str, amount: Any) -> TestResponse:
        return self.post(f"/api/v1/wallets/{user_id}/deposits", {"amount": amount})

    def balance(self, user_id: str) -> Decimal:
        return Decimal(self.get(f"/api/v1/wallets/{user_id}").json["balance"])  # type: ignore[index]


class Saga:
    """A saga with its own ids and payment."""

    def __init__(self, amount: Any = 20, method: str = "credit_card", user_id: str = "ana") -> None:
        self.saga_id = new_id()
        self.cart_id = new_id()
        self.payment_id = new_id()
        self.charge: dict[str, Any] = {
            "saga_id": self.saga_id,
            "cart_id": self.cart_id,
            "user_id": user_id,
            "amount": amount,
            "payment_method": method,
            "payment_id": self.payment_id,
        }

    @property
    def refund_path(self) -> str:
        return f"{PAYMENTS}/{self.payment_id}/refund"


def new_user() -> str:
    """Return the id of a new user."""
    return f"user-{new_id()}"


def domain_charge(saga: Saga) -> SagaCharge:
    """Return the saga's charge, for a use case that is called without HTTP."""
    return SagaCharge(
        id=saga.payment_id,
        saga_id=saga.saga_id,
        cart_id=saga.cart_id,
        user_id=saga.charge["user_id"],
        amount_minor=saga.charge["amount"] * 100,
        currency="EUR",
        payment_method=Method(saga.charge["payment_method"]),
    )


def charge(pagos: Pagos, sagas: Sequence[Saga]) -> list[dict[str, Any]]:
    return pagos.many(*[(PAYMENTS, saga.charge) for saga in sagas])


def refund(pagos: Pagos, sagas: Sequence[Saga]) -> list[dict[str, Any]]:
    return pagos.many(*[(saga.refund_path, {"saga_id": saga.saga_id}) for saga in sagas])
