"""The commands that sagas send to pagos: each has an endpoint of its own, and may be sent in a batch."""

from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
from uuid import UUID

from sqlalchemy import Connection

from pagos import service
from pagos.config import Settings
from pagos.domain import Refund
from pagos.models import db
from pagos.schemas import DECLINED, PaymentPath, RefundIn, SagaPaymentIn, SagaPaymentOut
from shared.batching.partition import in_unique_batches, map_accepted
from shared.errors import DomainError
from shared.http.answers import HttpOutcome
from shared.http.openapi import problem
from shared.http.schemas import NoBody
from shared.saga.commands import CommandRequest, Commands, Idempotency, answers
from shared.saga.standing import turned_back

commands = Commands(db)


@commands.action(
    "/api/v1/payments/saga",
    SagaPaymentIn,
    key=lambda command: command.body.saga,
    summary="Take the payment of a saga",
    responses={
        201: SagaPaymentOut,
        402: DECLINED,
        409: problem("Already refunded, charged for something else, or the payment's id is taken"),
    },
    idempotency=Idempotency(),
)
def pay_for_saga(
    connection: Connection, requests: Sequence[CommandRequest[SagaPaymentIn, NoBody]]
) -> list[HttpOutcome]:
    """A repeated request gets the same answer or refusal. After a refund the request is refused."""
    currency = Settings.current().currency
    paid = service.pay_for_saga(connection, [command.body.charge(currency) for command in requests])
    return answers(paid, SagaPaymentOut.of, 201)


@commands.compensation(
    "/api/v1/payments/saga/{payment_id}/refund",
    RefundIn,
    PaymentPath,
    key=lambda command: command.body.saga_id or command.path.payment_id,
    may_be_compensated=turned_back,
    summary="Refund the payment of a saga",
    responses={
        200: SagaPaymentOut,
        404: problem("No such payment; with `saga_id` it would be refused from now on"),
        409: problem("The payment is not this saga's, or the saga did not turn back"),
    },
)
def refund(
    connection: Connection,
    requests: Sequence[CommandRequest[RefundIn, PaymentPath]],
    turned_back: Collection[UUID],
) -> list[HttpOutcome]:
    """Compensate the saga's payment.

    No money moves when the payment was declined (status `declined`), or was not requested yet and is refused from now
    on (`void`). A captured payment is refunded only when carrito says that the saga turned back.
    """
    unnamed = [command.path.payment_id for command in requests if command.body.saga_id is None]
    sagas = service.sagas_of(connection, unnamed)
    refunded = map_accepted(
        [_refund(command, sagas) for command in requests],
        lambda refunds: in_unique_batches(
            refunds, attrgetter("saga_id"), lambda batch: service.refund(connection, batch, turned_back)
        ),
    )
    currency = Settings.current().currency
    return answers(refunded, lambda payment: SagaPaymentOut.of_refunded(payment, currency))


def _refund(
    command: CommandRequest[RefundIn, PaymentPath], sagas: Mapping[UUID, UUID | DomainError]
) -> Refund | DomainError:
    """The refund that a command requests; without `saga_id` it is for the payment's saga."""
    saga_id = command.body.saga_id or sagas[command.path.payment_id]
    if isinstance(saga_id, DomainError):
        return saga_id
    return Refund(saga_id, command.path.payment_id, command.body.reason)
