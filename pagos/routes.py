"""pagos over HTTP: parse, call the use case, shape the answer."""

from flask import Response
from flask_openapi import APIBlueprint
from sqlalchemy import Connection

from pagos import service
from pagos.config import Settings
from pagos.models import db
from pagos.schemas import (
    DECLINED,
    CartPath,
    DepositIn,
    LedgerLineOut,
    LedgerOut,
    PaymentIn,
    PaymentOut,
    SagaPath,
    SagaPaymentOut,
    SagaPaymentsOut,
    UserPath,
    WalletOut,
)
from shared.errors import DomainError
from shared.http.access import public, services_only, services_or_admin
from shared.http.answers import Answer, HttpOutcome, respond
from shared.http.idempotency import answer_once
from shared.http.openapi import idempotent, problem

routes = APIBlueprint("pagos", __name__, url_prefix="/api/v1")


@routes.post(
    "/payments",
    summary="Pay a merchant",
    responses={201: PaymentOut, 402: DECLINED},
    openapi_extensions=idempotent(),
)
@services_only
def pay(body: PaymentIn) -> Response:
    """Send an Idempotency-Key, so that a repeated request does not pay twice."""
    charge = body.charge(Settings.current().currency)

    def paid(connection: Connection) -> HttpOutcome:
        payment = service.pay(connection, charge)
        return payment if isinstance(payment, DomainError) else Answer(PaymentOut.of(payment), 201)

    return answer_once(db, paid)


@routes.get("/payments/saga/<cart_id>", summary="List the saga payments of a cart", responses={200: SagaPaymentsOut})
@public
def payments_of_cart(path: CartPath) -> Response:
    """All saga payments that the cart ever had, also declined ones, oldest first."""
    with db.transaction() as connection:
        payments = service.payments_of_cart(connection, path.cart_id)
    return respond(Answer(SagaPaymentsOut(items=[SagaPaymentOut.of(payment) for payment in payments])))


@routes.get("/ledger/sagas/<saga_id>", summary="List the ledger lines of a saga", responses={200: LedgerOut})
@public
def ledger_of_saga(path: SagaPath) -> Response:
    """The transfers of the saga's payment, oldest first; none for a payment that was declined or never requested."""
    with db.transaction() as connection:
        transfers = service.ledger_of_saga(connection, path.saga_id)
    return respond(Answer(LedgerOut(items=[LedgerLineOut.of(transfer) for transfer in transfers])))


@routes.post(
    "/wallets/<user_id>/deposits",
    summary="Pay into a wallet",
    responses={201: WalletOut},
    openapi_extensions=idempotent(),
)
@services_or_admin
def deposit(path: UserPath, body: DepositIn) -> Response:
    """The first deposit creates the wallet. Send an Idempotency-Key, so that a repeated request adds nothing."""
    currency = Settings.current().currency
    return answer_once(
        db,
        lambda connection: Answer(WalletOut.of(service.deposit(connection, path.user_id, currency, body.amount)), 201),
    )


@routes.get(
    "/wallets/<user_id>",
    summary="Read a wallet",
    responses={200: WalletOut, 404: problem("No such wallet")},
)
@public
def get_wallet(path: UserPath) -> Response:
    """The wallet with its balance."""
    with db.transaction() as connection:
        return respond(Answer(WalletOut.of(service.get_wallet(connection, path.user_id, Settings.current().currency))))
