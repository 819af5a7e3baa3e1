"""The use cases of orders; every one runs inside the caller's transaction. Those of carts are in `carts.py`."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from carrito import carts
from carrito.domain import (
    CREATE_ORDER,
    CartNotFound,
    OrderCancelled,
    OrderNotFound,
    OrderOfAnotherSaga,
    OrderRequest,
    OrderStatus,
    total_minor,
)
from carrito.models import barrier, orders
from shared.barrier import Entry, Undo
from shared.db import Row
from shared.errors import DomainError
from shared.json_codec import dumps
from shared.money import to_decimal


def create_order(uow: Connection, request: OrderRequest, currency: str) -> Row:
    """The saga's pending order of its cart, as frozen. Answers a repeated request as before.

    Raises `Suspended`, `OrderOfAnotherSaga` for an order id that is taken, and what `carts.hold_for` raises.
    """
    if not _entered(uow, request.saga_id):
        return _of_saga(uow, request.saga_id)
    cart = carts.hold_for(uow, request.cart_id, request.saga_id)
    if request.user_id not in {None, cart.row["user_id"]}:
        raise CartNotFound(f"user {request.user_id} has no cart {request.cart_id}", cart_id=request.cart_id)
    items = [
        {
            "product_id": item["product_id"],
            "name": item["name"],
            "quantity": item["quantity"],
            "unit_price": to_decimal(item["unit_price_minor"]),
        }
        for item in cart.items
    ]
    statement = (
        insert(orders)
        .values(
            id=request.order_id,
            saga_id=request.saga_id,
            cart_id=request.cart_id,
            user_id=cart.row["user_id"],
            payment_id=request.payment_id,
            billing_address=request.billing_address,
            items=dumps(items),
            total_minor=total_minor(cart.items),
            currency=currency,
        )
        .on_conflict_do_nothing()
        .returning(orders)
    )
    row = uow.execute(statement).mappings().first()
    if row is None:
        raise _of_another(request.order_id)
    return row


def get_order(uow: Connection, order_id: UUID) -> Row:
    """One order; raises `OrderNotFound`."""
    row = uow.execute(select(orders).where(orders.c.id == order_id)).mappings().first()
    if row is None:
        raise OrderNotFound(f"there is no order {order_id}", order_id=order_id)
    return row


def orders_of_cart(uow: Connection, cart_id: UUID) -> Sequence[Row]:
    """The orders that a cart ever had, oldest first."""
    statement = select(orders).where(orders.c.cart_id == cart_id).order_by(orders.c.created_at, orders.c.id)
    return uow.execute(statement).mappings().all()


def confirm_order(uow: Connection, order_id: UUID, saga_id: UUID | None) -> Row:
    """A pending order is confirmed and its cart checked out, in one commit; a confirmed one stays so.

    Raises `OrderNotFound`, `OrderOfAnotherSaga`, `OrderCancelled`.
    """
    row = get_order(uow, order_id)
    if saga_id not in {None, row["saga_id"]}:
        raise _of_another(order_id)
    confirmed = _change(uow, order_id, [OrderStatus.PENDING], OrderStatus.CONFIRMED)
    if confirmed is not None:
        carts.close(uow, confirmed["cart_id"], confirmed["saga_id"])
        return confirmed
    row = get_order(uow, order_id)
    if row["status"] != OrderStatus.CONFIRMED:
        raise OrderCancelled(f"order {order_id} was cancelled", order_id=order_id)
    return row


def cancel_order(uow: Connection, order_id: UUID, saga_id: UUID | None) -> Row | None:
    """The compensation of `create_order`, also of a confirmed one; never twice. Its cart stays with the saga.

    None when the order never came to be; from now on it is refused. Raises `OrderNotFound` (only when no saga is
    named), `OrderOfAnotherSaga`.
    """
    row = uow.execute(select(orders).where(orders.c.id == order_id)).mappings().first()
    owner: UUID | None = saga_id if row is None else row["saga_id"]
    if owner is None:
        raise OrderNotFound(f"there is no order {order_id}", order_id=order_id)
    if saga_id not in {None, owner}:
        raise _of_another(order_id)
    undo = barrier.enter_undo(uow, CREATE_ORDER, [owner])[owner]
    if undo is Undo.FIRST:
        _change(uow, order_id, [OrderStatus.PENDING, OrderStatus.CONFIRMED], OrderStatus.CANCELLED)
    row = uow.execute(select(orders).where(orders.c.saga_id == owner)).mappings().first()
    if row is not None and row["id"] != order_id:
        raise _of_another(order_id)
    return row


def _entered(uow: Connection, saga_id: UUID) -> bool:
    entry = barrier.enter(uow, CREATE_ORDER, [saga_id])[saga_id]
    if isinstance(entry, DomainError):
        raise entry
    return entry is Entry.FIRST


def _of_saga(uow: Connection, saga_id: UUID) -> Row:
    return uow.execute(select(orders).where(orders.c.saga_id == saga_id)).mappings().one()


def _change(uow: Connection, order_id: UUID, before: list[OrderStatus], after: OrderStatus) -> Row | None:
    """The one conditional update that decides an order's fate; None when it wasn't this one."""
    statement = (
        update(orders)
        .where(orders.c.id == order_id, orders.c.status.in_(before))
        .values(status=after)
        .returning(orders)
    )
    return uow.execute(statement).mappings().first()


def _of_another(order_id: UUID) -> OrderOfAnotherSaga:
    return OrderOfAnotherSaga(f"order {order_id} belongs to another saga", order_id=order_id)
