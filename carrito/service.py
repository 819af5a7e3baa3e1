"""The use cases of orders; each runs in the caller's transaction. Those of carts are in `carts.py`.

The steps of sagas take one command of each of many sagas, and return an outcome for each, in the order of the commands.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from operator import attrgetter
from uuid import UUID

from sqlalchemy import Connection

from carrito import cart_store, checkout_store, order_store
from carrito.checkout_domain import Checkout, begun_by_a_checkout, no_checkout
from carrito.domain import no_lines, unusable
from carrito.models import barrier
from carrito.order_domain import (
    CREATE_ORDER,
    Order,
    OrderAlreadyCancelled,
    OrderNotFound,
    OrderOfSaga,
    OrderRequest,
    OrderStatus,
    VoidOrder,
    differs,
    freeze_for,
    mismatch,
    no_order,
    of_another,
    other_order,
)
from shared.batching.partition import in_unique_batches, map_accepted
from shared.errors import DomainError
from shared.saga.barrier import BySaga, Done
from shared.saga.standing import SagaStands


def create_order(
    connection: Connection, requests: Sequence[OrderRequest], currency: str
) -> list[Done[Order] | DomainError]:
    """Create each saga's pending order from its checkout; without a checkout, freeze the open cart for it.

    Refusals: `RepeatedOtherwise` for a request that differs from the saga's checkout (the paid amount included) or from
    its first request; `Suspended`, `CartNotFound` (also for another user's cart), `CartNotOpen` naming the saga that
    has it, `CartEmpty`, and `OrderOfAnotherSaga` for an order id that is taken.
    """
    checkouts = checkout_store.find(connection, [each.saga_id for each in requests])
    return map_accepted(
        [differs(each, checkouts.get(each.saga_id)) or each for each in requests],
        lambda accepted: barrier.once(
            connection,
            CREATE_ORDER,
            accepted,
            first=partial(_create, connection, checkouts, currency),
            repeated=partial(_created_before, connection),
        ),
    )


def confirm_order(connection: Connection, commands: Sequence[OrderOfSaga]) -> list[Done[Order] | DomainError]:
    """Confirm each saga's pending order and check its cart out, in one commit; a confirmed order stays confirmed.

    Refusals: `OrderNotFound`, `OrderOfAnotherSaga`, `OrderAlreadyCancelled`.
    """
    confirmed = order_store.confirm(connection, commands)
    pending = [each for each in commands if each.saga_id not in confirmed]
    found = order_store.find(connection, [each.saga_id for each in pending], [each.order_id for each in pending])
    return [
        Done(confirmed[each.saga_id], first=True) if each.saga_id in confirmed else _not_confirmed(each, found)
        for each in commands
    ]


def cancel_order(
    connection: Connection, commands: Sequence[OrderOfSaga], proven: Collection[UUID] | None = None
) -> list[Done[Order | VoidOrder] | DomainError]:
    """Compensate `create_order`: cancel each saga's order, also a confirmed one. The cart stays with the saga.

    A saga without an order gets a void one, and its `create_order` is refused from now on. `proven` has the sagas
    that are known to have turned back; None: all of them.

    Refusals: `OrderOfAnotherSaga`; `RepeatedOtherwise` when the saga's checkout chose another order id; `SagaStands`
    for the order of a checkout whose saga is not in `proven`.
    """
    checkouts = checkout_store.find(connection, [each.saga_id for each in commands])
    agreeing = [other_order(each, checkouts.get(each.saga_id)) or each for each in commands]
    cancel = partial(_cancel, connection, checkouts, proven)

    def compensate(accepted: Sequence[OrderOfSaga]) -> list[Done[Order | VoidOrder] | DomainError]:
        return barrier.compensate(connection, CREATE_ORDER, accepted, cancel)

    return map_accepted(agreeing, compensate)


def get_checkout(connection: Connection, saga_id: UUID) -> Checkout:
    """Return the checkout of a saga; raises `CheckoutNotFound`."""
    found = checkout_store.find(connection, [saga_id])
    if saga_id not in found:
        raise no_checkout(saga_id)
    return found[saga_id]


def order_is_gone(connection: Connection, saga_id: UUID) -> bool:
    """Whether a saga has no order and can't get one: it was cancelled, or its creation is refused from now on."""
    for order in order_store.find(connection, [saga_id], []):
        return order.status == OrderStatus.CANCELLED
    return barrier.closed(connection, CREATE_ORDER, saga_id)


def get_order(connection: Connection, order_id: UUID) -> Order:
    """Return an order; raises `OrderNotFound`."""
    for order in order_store.find(connection, [], [order_id]):
        return order
    raise no_order(order_id)


def orders_of_cart(connection: Connection, cart_id: UUID) -> Sequence[Order]:
    """Return all orders that a cart ever had, oldest first."""
    return order_store.of_cart(connection, cart_id)


def sagas_of(connection: Connection, order_ids: Sequence[UUID]) -> dict[UUID, UUID | DomainError]:
    """Return the saga of each order, or `OrderNotFound`."""
    found = {order.id: order.saga_id for order in order_store.find(connection, [], order_ids)}
    return {order_id: found.get(order_id) or no_order(order_id) for order_id in order_ids}


def _created_before(connection: Connection, requests: Sequence[OrderRequest]) -> BySaga[Order]:
    return {order.saga_id: order for order in order_store.find(connection, [each.saga_id for each in requests], [])}


def _create(
    connection: Connection, checkouts: Mapping[UUID, Checkout], currency: str, requests: Sequence[OrderRequest]
) -> BySaga[Order]:
    frozen = [each for each in requests if each.saga_id in checkouts]
    placed = order_store.place(connection, frozen)
    outcomes: dict[UUID, Order | DomainError] = {
        each.saga_id: placed.get(each.saga_id) or of_another(each.order_id) for each in frozen
    }
    unknown = [each for each in requests if each.saga_id not in checkouts]
    create = partial(_create_without_checkout, connection, currency=currency)
    created = in_unique_batches(unknown, attrgetter("cart_id"), create)
    return outcomes | dict(zip((each.saga_id for each in unknown), created, strict=True))


def _create_without_checkout(
    connection: Connection, requests: Sequence[OrderRequest], currency: str
) -> list[Order | DomainError]:
    """Freeze an open cart for each request and place its order. Each names another cart; a refusal changes nothing."""
    locked = cart_store.lock(connection, [each.cart_id for each in requests])
    refused = {
        each.saga_id: why_not
        for each in requests
        if (why_not := unusable(each.cart_id, each.user_id, locked.get(each.cart_id))) is not None
    }
    usable = [each for each in requests if each.saga_id not in refused]
    frozen = checkout_store.freeze(connection, [freeze_for(each) for each in usable], currency)
    refused |= {each.saga_id: no_lines(each.cart_id) for each in usable if each.cart_id not in frozen}
    full = [each for each in usable if each.saga_id not in refused]
    placed = order_store.place(connection, full)
    taken = [each for each in full if each.saga_id not in placed]
    checkout_store.unfreeze(connection, [each.saga_id for each in taken])
    refused |= {each.saga_id: of_another(each.order_id) for each in taken}
    return [refused.get(each.saga_id) or placed[each.saga_id] for each in requests]


def _not_confirmed(command: OrderOfSaga, found: Sequence[Order]) -> Done[Order] | DomainError:
    by_saga, by_id = {order.saga_id: order for order in found}, {order.id: order for order in found}
    order = by_saga.get(command.saga_id) if command.order_id is None else by_id.get(command.order_id)
    if order is None:
        what = f"of saga {command.saga_id}" if command.order_id is None else str(command.order_id)
        return OrderNotFound(f"there is no order {what}", saga_id=command.saga_id)
    wrong = mismatch(command, [order])
    if wrong is not None:
        return wrong
    if order.status == OrderStatus.CONFIRMED:
        return Done(order, first=False)
    return OrderAlreadyCancelled(f"order {order.id} was cancelled", order_id=order.id)


def _cancel(
    connection: Connection,
    checkouts: Mapping[UUID, Checkout],
    proven: Collection[UUID] | None,
    first: Sequence[OrderOfSaga],
    others: Sequence[OrderOfSaga],
) -> BySaga[Order | VoidOrder]:
    begun = [each.saga_id for each in first if begun_by_a_checkout(checkouts.get(each.saga_id))]
    unproven = [] if proven is None else [saga_id for saga_id in begun if saga_id not in proven]
    standing = {
        order.saga_id: SagaStands(order.saga_id, "the order")
        for order in order_store.find(connection, unproven, [])
        if order.status != OrderStatus.CANCELLED
    }
    cancelled = order_store.cancel(connection, [each for each in first if each.saga_id not in standing])
    unchanged = [each for each in (*first, *others) if each.saga_id not in standing and each.saga_id not in cancelled]
    return {**standing, **cancelled, **_nothing_cancelled(connection, unchanged)}


def _nothing_cancelled(connection: Connection, commands: Sequence[OrderOfSaga]) -> BySaga[Order | VoidOrder]:
    """The outcomes of cancellations that changed nothing: void orders, orders cancelled before, or refusals."""
    found = order_store.find(connection, [each.saga_id for each in commands], [each.order_id for each in commands])
    outcomes: dict[UUID, Order | VoidOrder | DomainError] = {}
    for each in commands:
        own = next((order for order in found if order.saga_id == each.saga_id), None)
        concerned = [order for order in found if order is own or order.id == each.order_id]
        outcomes[each.saga_id] = mismatch(each, concerned) or own or VoidOrder(each.saga_id, each.order_id)
    return outcomes
