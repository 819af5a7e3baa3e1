"""The commands that sagas send to carrito: each has an endpoint of its own, and may be sent in a batch."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import TypeVar
from uuid import UUID

from flask import current_app
from sqlalchemy import Connection

from carrito import cart_store, checkout_store, service
from carrito.config import Settings
from carrito.domain import Checkout, CheckoutRequest, HandedOverCheckout, NewlyFrozenCart, OrderOfSaga, Release
from carrito.handover import Handover
from carrito.models import db
from carrito.schemas import (
    NO_CART,
    NO_ORDER,
    NO_STYLE,
    NOT_CHECKED_OUT,
    BeginCheckoutIn,
    CancelledOut,
    CartOut,
    CartPath,
    CheckoutDetailsOut,
    FrozenCartOut,
    MaybeOfSagaIn,
    OfSagaIn,
    OrderIn,
    OrderOut,
    OrderPath,
    ReleasedOut,
)
from shared.batching.partition import in_unique_batches, map_accepted
from shared.errors import DomainError
from shared.http import tracing
from shared.http.answers import Answer, HttpOutcome
from shared.http.openapi import problem
from shared.http.schemas import NoBody
from shared.saga.barrier import Done
from shared.saga.commands import CommandRequest, Commands, Idempotency, answers
from shared.trace import traceparent

T = TypeVar("T")
commands = Commands(db)


@commands.action(
    "/orders",
    OrderIn,
    key=lambda command: command.body.saga,
    summary="Create a saga's order",
    responses={201: OrderOut, 404: NO_CART, 409: problem("Compensated, or the cart or order id is another saga's")},
    idempotency=Idempotency(),
)
def create_order(connection: Connection, requests: Sequence[CommandRequest[OrderIn, NoBody]]) -> list[HttpOutcome]:
    """The order is pending, with the frozen cart's lines and total. A repeated request gets the same answer or refusal.

    After a cancellation the request is refused.
    """
    currency = Settings.current().currency
    created = service.create_order(connection, [command.body.command() for command in requests], currency)
    return answers(created, OrderOut.of, 201)


@commands.action(
    "/orders/{order_id}/confirm",
    MaybeOfSagaIn,
    OrderPath,
    key=lambda command: command.body.saga_id or command.path.order_id,
    summary="Confirm an order",
    responses={200: OrderOut, 404: NO_ORDER, 409: problem("It was cancelled, or belongs to another saga")},
)
def confirm_order(
    connection: Connection, requests: Sequence[CommandRequest[MaybeOfSagaIn, OrderPath]]
) -> list[HttpOutcome]:
    """Confirm the order and check its cart out, in one commit."""
    return answers(_by_saga(connection, requests, partial(service.confirm_order, connection)), OrderOut.of)


def _turned_back(saga_ids: Sequence[UUID]) -> Sequence[UUID]:
    handover: Handover = current_app.extensions["handover"]
    with db.transaction() as connection:
        found = checkout_store.find(connection, saga_ids)
    return [saga_id for saga_id, checkout in found.items() if handover.has_turned_back(checkout)]


@commands.compensation(
    "/orders/{order_id}/cancel",
    MaybeOfSagaIn,
    OrderPath,
    key=lambda command: command.body.saga_id or command.path.order_id,
    may_be_compensated=_turned_back,
    summary="Cancel an order",
    responses={
        200: CancelledOut,
        404: NO_ORDER,
        409: problem("The order belongs to another saga, or its own did not turn back"),
    },
)
def cancel_order(
    connection: Connection,
    requests: Sequence[CommandRequest[MaybeOfSagaIn, OrderPath]],
    turned_back: Collection[UUID],
) -> list[HttpOutcome]:
    """Compensate the creation of an order. With `saga_id` this also refuses an order that has not been requested yet.

    The order of a checkout is cancelled only when the service that runs its saga says that it turned back.
    """
    cancel = partial(service.cancel_order, connection, turned_back=turned_back)
    return answers(_by_saga(connection, requests, cancel), CancelledOut.of)


@commands.action(
    "/carts/{cart_id}/release",
    OfSagaIn,
    CartPath,
    key=lambda command: command.path.cart_id,
    summary="Open a cart again",
    responses={200: ReleasedOut, 404: NO_CART, 409: problem("Its order was not cancelled, or the saga never had it")},
)
def release_cart(connection: Connection, requests: Sequence[CommandRequest[OfSagaIn, CartPath]]) -> list[HttpOutcome]:
    """Open a compensated saga's cart again; its order is refused from then on.

    Changes nothing when the saga has the cart no longer.
    """
    releases = [Release(command.path.cart_id, command.body.saga_id) for command in requests]
    released = service.release_cart(connection, releases)
    filled = cart_store.with_lines(connection, [each.value for each in released if isinstance(each, Done)])
    by_id = {cart.id: cart for cart in filled}
    sagas = {each.cart_id: each.saga_id for each in releases}
    return answers(released, lambda cart: ReleasedOut(saga_id=sagas[cart.id], cart=CartOut.of(by_id[cart.id])))


@commands.action(
    "/carts/{cart_id}/checkout",
    BeginCheckoutIn,
    CartPath,
    key=lambda command: command.path.cart_id,
    summary="Freeze a cart for a new saga",
    responses={200: CheckoutDetailsOut, 201: FrozenCartOut, 404: NO_CART, 409: NOT_CHECKED_OUT, 501: NO_STYLE},
    # The saga services pass on the key of their own request, which has the cart in its body and not in its path.
    idempotency=Idempotency(any_path=True, keep_refusals=False),
)
def begin_checkout(
    connection: Connection, requests: Sequence[CommandRequest[BeginCheckoutIn, CartPath]]
) -> list[HttpOutcome]:
    """Freeze a cart for a saga service. Of concurrent requests for a cart, one succeeds.

    The answer has the new saga's id. With `saga_id` nothing is frozen: the answer (200) is what was frozen for that
    saga, if the request agrees with it.
    """
    own = tracing.context()
    new, handed_over = list[CheckoutRequest](), list[HandedOverCheckout]()
    for command in requests:
        checkout = command.body.request(command.path.cart_id, traceparent(command.body.traceparent or own))
        if command.body.saga_id is None:
            new.append(checkout)
        else:
            handed_over.append(HandedOverCheckout(command.body.saga_id, checkout))
    settings = Settings.current()
    begun = service.begin_checkout(connection, new, settings, by_saga_service=True)
    found = service.find_begun(connection, handed_over)
    by_cart = {each.cart_id: _frozen(outcome, settings.currency) for each, outcome in zip(new, begun, strict=True)}
    by_cart |= {each.request.cart_id: _known(outcome) for each, outcome in zip(handed_over, found, strict=True)}
    return [by_cart[command.path.cart_id] for command in requests]


def _frozen(begun: NewlyFrozenCart | DomainError, currency: str) -> HttpOutcome:
    return begun if isinstance(begun, DomainError) else Answer(FrozenCartOut.frozen(begun, currency), 201)


def _known(found: Checkout | DomainError) -> HttpOutcome:
    return found if isinstance(found, DomainError) else Answer(CheckoutDetailsOut.of(found))


def _by_saga(
    connection: Connection,
    requests: Sequence[CommandRequest[MaybeOfSagaIn, OrderPath]],
    use_case: Callable[[Sequence[OrderOfSaga]], list[Done[T] | DomainError]],
) -> list[Done[T] | DomainError]:
    """Run the use case with one command of each saga at a time. A command without `saga_id` is for its order's saga."""
    unnamed = [command.path.order_id for command in requests if command.body.saga_id is None]
    sagas = service.sagas_of(connection, unnamed)
    return map_accepted(
        [_of_saga(command, sagas) for command in requests],
        lambda orders: in_unique_batches(orders, attrgetter("saga_id"), use_case),
    )


def _of_saga(
    command: CommandRequest[MaybeOfSagaIn, OrderPath], sagas: Mapping[UUID, UUID | DomainError]
) -> OrderOfSaga | DomainError:
    saga_id = command.body.saga_id or sagas[command.path.order_id]
    return saga_id if isinstance(saga_id, DomainError) else OrderOfSaga(saga_id, command.path.order_id)
