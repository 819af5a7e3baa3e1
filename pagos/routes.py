"""pagos over HTTP: parse, call the use case, shape the answer."""

from flask import Response, current_app
from flask_openapi import APIBlueprint

from pagos import service
from pagos.models import db
from pagos.schemas import (
    CartPath,
    DepositIn,
    PaymentIn,
    PaymentOut,
    PaymentPath,
    RefundIn,
    SagaPaymentIn,
    SagaPaymentOut,
    SagaPaymentsOut,
    UserPath,
    WalletOut,
)
from shared.idempotency import answer_once
from shared.openapi import idempotent, problem
from shared.web import Answer, respond

routes = APIBlueprint("pagos", __name__, url_prefix="/api/v1")

DECLINED = problem("Declined; the problem's `reason` says why")


@routes.post(
    "/payments",
    summary="Pay a merchant",
    responses={201: PaymentOut, 402: DECLINED},
    openapi_extensions=idempotent(),
)
def pay(body: PaymentIn) -> Response:
    """Send an Idempotency-Key, so that a repeated request does not pay twice."""
    charge = body.charge(_currency())
    return answer_once(db, lambda uow: Answer(PaymentOut.of(service.pay(uow, charge)), 201))


@routes.post(
    "/payments/saga",
    summary="Take a saga's money",
    responses={
        201: SagaPaymentOut,
        402: DECLINED,
        409: problem("Already refunded, charged for something else, or the payment's id is taken"),
    },
    openapi_extensions=idempotent(),
)
def pay_for_saga(body: SagaPaymentIn) -> Response:
    """Once; repeated, it answers the same, a decline too; after a refund it is refused."""
    charge = body.charge(_currency())
    return answer_once(db, lambda uow: Answer(SagaPaymentOut.of(service.pay_for_saga(uow, charge)), 201))


@routes.post(
    "/payments/saga/<payment_id>/refund",
    summary="Give a saga's money back",
    responses={
        200: SagaPaymentOut,
        404: problem("No such payment; name its saga to keep it from coming"),
        409: problem("The payment is not this saga's"),
    },
)
def refund(path: PaymentPath, body: RefundIn) -> Response:
    """The compensation of the saga's payment.

    Nothing moves when it was declined (status `declined`), or has not come yet and now never will (`void`).
    """
    with db.transaction() as uow:
        saga_id = body.saga_id or service.saga_of(uow, path.payment_id)
        row = service.refund(uow, path.payment_id, saga_id, body.reason)
    void = SagaPaymentOut.void(path.payment_id, saga_id, _currency())
    return respond(Answer(void if row is None else SagaPaymentOut.of(row)))


@routes.get("/payments/saga/<cart_id>", summary="A cart's saga payments", responses={200: SagaPaymentsOut})
def payments_of_cart(path: CartPath) -> Response:
    """Every one that it ever had, declined ones too, oldest first."""
    with db.transaction() as uow:
        rows = service.payments_of_cart(uow, path.cart_id)
    return respond(Answer(SagaPaymentsOut(items=[SagaPaymentOut.of(row) for row in rows])))


@routes.post(
    "/wallets/<user_id>/deposits",
    summary="Pay into a wallet",
    responses={201: WalletOut},
    openapi_extensions=idempotent(),
)
def deposit(path: UserPath, body: DepositIn) -> Response:
    """The first deposit makes the wallet. Send an Idempotency-Key, so that a repeated request adds nothing."""
    currency = _currency()
    return answer_once(
        db, lambda uow: Answer(WalletOut.of(service.deposit(uow, path.user_id, currency, body.amount)), 201)
    )


@routes.get(
    "/wallets/<user_id>",
    summary="Read a wallet",
    responses={200: WalletOut, 404: problem("No such wallet")},
)
def get_wallet(path: UserPath) -> Response:
    """What it holds."""
    with db.transaction() as uow:
        return respond(Answer(WalletOut.of(service.get_wallet(uow, path.user_id, _currency()))))


def _currency() -> str:
    return str(current_app.config["CURRENCY"])
