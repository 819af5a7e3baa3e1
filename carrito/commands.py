"""What sagas ask of carrito, for many sagas at once; each endpoint of its own asks for one."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from operator import attrgetter
from uuid import UUID

from flask import current_app, request
from sqlalchemy import Connection

from carrito import carts, checkout_store, service
from carrito.checkout import begin
from carrito.config import Settings
from carrito.domain import OrderOfSaga, Release
from carrito.handover import Handover
from carrito.models import db
from carrito.schemas import (
    BeginCheckoutIn,
    CartOut,
    CartPath,
    FrozenCartOut,
    MaybeOfSagaIn,
    OfSagaIn,
    OrderIn,
    OrderOut,
    OrderPath,
    VoidOut,
)
from shared.batching.partition import in_unique_batches, map_accepted
from shared.errors import DomainError
from shared.http.answers import Answer, Outcome
from shared.http.schemas import NoBody
from shared.saga.commands import Command, Commands
from shared.trace import traceparent

commands = Commands(db)


@commands.register("/orders", OrderIn, key=lambda command: command.body.saga)
def create_orders(connection: Connection, requests: Sequence[Command[OrderIn, NoBody]]) -> list[Outcome]:
    """Pending orders."""
    settings: Settings = current_app.extensions["settings"]
    created = service.create_order(connection, [command.body.command() for command in requests], settings.currency)
    return [each if isinstance(each, DomainError) else Answer(OrderOut.of(each.row), 201) for each in created]


@commands.register(
    "/orders/{order_id}/confirm",
    MaybeOfSagaIn,
    OrderPath,
    key=lambda command: command.body.saga_id or command.path.order_id,
)
def confirm_orders(connection: Connection, requests: Sequence[Command[MaybeOfSagaIn, OrderPath]]) -> list[Outcome]:
    """Confirmed orders."""
    return _with_sagas(connection, requests, _confirmed)


def _turned_back(saga_ids: Sequence[UUID]) -> Sequence[UUID]:
    handover: Handover = current_app.extensions["handover"]
    with db.transaction() as connection:
        found = checkout_store.find(connection, saga_ids)
    return [saga_id for saga_id, checkout in found.items() if handover.has_turned_back(checkout)]


@commands.register_compensation(
    "/orders/{order_id}/cancel",
    MaybeOfSagaIn,
    OrderPath,
    key=lambda command: command.body.saga_id or command.path.order_id,
    may_be_compensated=_turned_back,
)
def cancel_orders(
    connection: Connection, requests: Sequence[Command[MaybeOfSagaIn, OrderPath]], proven: Collection[UUID]
) -> list[Outcome]:
    """Cancelled orders, or those that now never come to be."""
    return _with_sagas(connection, requests, partial(_cancelled, proven=proven))


@commands.register("/carts/{cart_id}/release", OfSagaIn, CartPath, key=lambda command: command.path.cart_id)
def release_carts(connection: Connection, requests: Sequence[Command[OfSagaIn, CartPath]]) -> list[Outcome]:
    """Carts that their sagas do not have any more."""
    released = carts.release(connection, [Release(command.path.cart_id, command.body.saga_id) for command in requests])
    open_ones = carts.with_items(connection, [each for each in released if not isinstance(each, DomainError)])
    views = {cart.row["id"]: CartOut.of(cart) for cart in open_ones}
    return [each if isinstance(each, DomainError) else Answer(views[each["id"]]) for each in released]


@commands.register("/carts/{cart_id}/checkout", BeginCheckoutIn, CartPath, key=lambda command: command.path.cart_id)
def begin_checkouts(connection: Connection, requests: Sequence[Command[BeginCheckoutIn, CartPath]]) -> list[Outcome]:
    """Carts, each frozen for a new saga."""
    settings: Settings = current_app.extensions["settings"]
    header = request.headers.get("traceparent")
    checkouts = [
        command.body.request(command.path.cart_id, traceparent(command.body.traceparent or header))
        for command in requests
    ]
    begun = begin(connection, checkouts, settings, by_saga_service=True)
    return [each if isinstance(each, DomainError) else Answer(FrozenCartOut.frozen(each), 201) for each in begun]


def _with_sagas(
    connection: Connection,
    requests: Sequence[Command[MaybeOfSagaIn, OrderPath]],
    act: Callable[[Connection, Sequence[OrderOfSaga]], list[Outcome]],
) -> list[Outcome]:
    """The outcomes of `act`; a saga that is not named is found by its order."""
    sagas = service.sagas_of(
        connection, [command.path.order_id for command in requests if command.body.saga_id is None]
    )
    of_sagas = [_of_saga(command, sagas) for command in requests]
    return map_accepted(of_sagas, lambda fit: in_unique_batches(fit, attrgetter("saga_id"), partial(act, connection)))


def _of_saga(
    command: Command[MaybeOfSagaIn, OrderPath], sagas: Mapping[UUID, UUID | DomainError]
) -> OrderOfSaga | DomainError:
    saga_id = command.body.saga_id or sagas[command.path.order_id]
    return saga_id if isinstance(saga_id, DomainError) else OrderOfSaga(saga_id, command.path.order_id)


def _confirmed(connection: Connection, requests: Sequence[OrderOfSaga]) -> list[Outcome]:
    confirmed = service.confirm_order(connection, requests)
    return [each if isinstance(each, DomainError) else Answer(OrderOut.of(each.row)) for each in confirmed]


def _cancelled(connection: Connection, requests: Sequence[OrderOfSaga], proven: Collection[UUID]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for each, done in zip(requests, service.cancel_order(connection, requests, proven), strict=True):
        if isinstance(done, DomainError):
            outcomes.append(done)
        elif done.row is None:
            outcomes.append(Answer(VoidOut(id=each.order_id, saga_id=each.saga_id)))
        else:
            outcomes.append(Answer(OrderOut.of(done.row)))
    return outcomes
