"""pagos over HTTP: parse, call the use case, shape the answer."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from operator import attrgetter
from uuid import UUID

from flask import Response, current_app
from flask_openapi import APIBlueprint
from sqlalchemy import Connection

from pagos import service
from pagos.domain import Refund
from pagos.ledger_schemas import LedgerLineOut, LedgerOut
from pagos.models import db
from pagos.schemas import (
    CartPath,
    DepositIn,
    PaymentIn,
    PaymentOut,
    PaymentPath,
    RefundIn,
    SagaPath,
    SagaPaymentIn,
    SagaPaymentOut,
    SagaPaymentsOut,
    UserPath,
    WalletOut,
)
from shared.batching.partition import in_unique_batches, map_accepted
from shared.errors import DomainError
from shared.http.access import public, services_only, services_or_admin
from shared.http.answers import Answer, Outcome, respond
from shared.http.idempotency import answer_once
from shared.http.openapi import idempotent, problem
from shared.http.schemas import NoBody
from shared.saga.commands import Command, Commands
from shared.saga.standing import turned_back

routes = APIBlueprint("pagos", __name__, url_prefix="/api/v1")
commands = Commands(db)

DECLINED = problem("Declined; the problem's `reason` says why")


@routes.post(
    "/payments",
    summary="Pay a merchant",
    responses={201: PaymentOut, 402: DECLINED},
    openapi_extensions=idempotent(),
)
@services_only
def pay(body: PaymentIn) -> Response:
    """Send an Idempotency-Key, so that a repeated request does not pay twice."""
    charge = body.charge(_currency())

    def paid(connection: Connection) -> Outcome:
        payment = service.pay(connection, charge)
        return payment if isinstance(payment, DomainError) else Answer(PaymentOut.of(payment), 201)

    return answer_once(db, paid)


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
@services_only
def pay_for_saga(body: SagaPaymentIn) -> Response:
    """Once; repeated, it answers the same, a refusal too; after a refund it is refused."""
    return answer_once(db, lambda connection: _pay_for_sagas(connection, [Command(body)])[0])


@routes.post(
    "/payments/saga/<payment_id>/refund",
    summary="Give a saga's money back",
    responses={
        200: SagaPaymentOut,
        404: problem("No such payment; name its saga to keep it from coming"),
        409: problem("The payment is not this saga's, or the saga did not turn back"),
    },
)
@services_only
def refund(path: PaymentPath, body: RefundIn) -> Response:
    """The compensation of the saga's payment.

    Nothing moves when it was declined (status `declined`), or has not come yet and now never will (`void`). Money that
    was captured goes back once carrito says that the saga turned back.
    """
    [outcome] = _refund_payments([Command(body, path)])
    return respond(outcome)


@routes.get("/payments/saga/<cart_id>", summary="A cart's saga payments", responses={200: SagaPaymentsOut})
@public
def payments_of_cart(path: CartPath) -> Response:
    """Every one that it ever had, declined ones too, oldest first."""
    with db.transaction() as connection:
        rows = service.payments_of_cart(connection, path.cart_id)
    return respond(Answer(SagaPaymentsOut(items=[SagaPaymentOut.of(row) for row in rows])))


@routes.get("/ledger/sagas/<saga_id>", summary="The ledger lines of a saga", responses={200: LedgerOut})
@public
def ledger_of_saga(path: SagaPath) -> Response:
    """What was booked for its payment, oldest first; nothing for a payment that was declined or never asked for."""
    with db.transaction() as connection:
        rows = service.ledger_of_saga(connection, path.saga_id)
    return respond(Answer(LedgerOut(items=[LedgerLineOut.of(row) for row in rows])))


@routes.post(
    "/wallets/<user_id>/deposits",
    summary="Pay into a wallet",
    responses={201: WalletOut},
    openapi_extensions=idempotent(),
)
@services_or_admin
def deposit(path: UserPath, body: DepositIn) -> Response:
    """The first deposit makes the wallet. Send an Idempotency-Key, so that a repeated request adds nothing."""
    currency = _currency()
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
    """What it holds."""
    with db.transaction() as connection:
        return respond(Answer(WalletOut.of(service.get_wallet(connection, path.user_id, _currency()))))


@commands.register("/api/v1/payments/saga", SagaPaymentIn, key=lambda command: command.body.saga)
def _pay_for_sagas(connection: Connection, requests: Sequence[Command[SagaPaymentIn, NoBody]]) -> list[Outcome]:
    currency = _currency()
    paid = service.pay_for_saga(connection, [command.body.charge(currency) for command in requests])
    return [each if isinstance(each, DomainError) else Answer(SagaPaymentOut.of(each.row), 201) for each in paid]


@commands.register_compensation(
    "/api/v1/payments/saga/{payment_id}/refund",
    RefundIn,
    PaymentPath,
    key=lambda command: command.body.saga_id or command.path.payment_id,
    may_be_compensated=turned_back,
)
def _refund_payments(
    connection: Connection, requests: Sequence[Command[RefundIn, PaymentPath]], proven: Collection[UUID]
) -> list[Outcome]:
    unnamed = [command.path.payment_id for command in requests if command.body.saga_id is None]
    sagas = service.sagas_of(connection, unnamed)
    refunds = [_refund(command, sagas) for command in requests]
    refund_some = partial(_refunded, connection, proven)
    return map_accepted(refunds, lambda fit: in_unique_batches(fit, attrgetter("saga_id"), refund_some))


def _refund(command: Command[RefundIn, PaymentPath], sagas: Mapping[UUID, UUID | DomainError]) -> Refund | DomainError:
    saga_id = command.body.saga_id or sagas[command.path.payment_id]
    if isinstance(saga_id, DomainError):
        return saga_id
    return Refund(saga_id, command.path.payment_id, command.body.reason)


def _refunded(connection: Connection, proven: Collection[UUID], refunds: Sequence[Refund]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for each, done in zip(refunds, service.refund(connection, refunds, proven), strict=True):
        if isinstance(done, DomainError):
            outcomes.append(done)
        elif done.row is None:
            void = SagaPaymentOut.void(each.payment_id, each.saga_id, _currency())  # type: ignore[arg-type]  # in the path
            outcomes.append(Answer(void))
        else:
            outcomes.append(Answer(SagaPaymentOut.of(done.row)))
    return outcomes


def _currency() -> str:
    return str(current_app.config["CURRENCY"])
