"""The use cases of inventario, one function each; every one runs inside the caller's transaction."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from inventario.domain import (
    RESERVE,
    Line,
    NewProduct,
    ProductNotFound,
    ReservationNotFound,
    ReservationStatus,
    SkuTaken,
    check_products,
    check_same,
    merged,
    not_held,
    shortage,
)
from inventario.models import barrier, products, reservation_lines, reservations
from inventario.stock import lock_shelves, move, take
from shared.barrier import Entry, Undo
from shared.db import Row
from shared.errors import DomainError

LIVE = {ReservationStatus.HELD, ReservationStatus.COMMITTED}


def create_product(uow: Connection, new: NewProduct) -> Row:
    """A new product with its first stock; raises `SkuTaken`."""
    values = {
        "sku": new.sku,
        "name": new.name,
        "description": new.description,
        "category": new.category,
        "price_minor": new.price_minor,
        "available": new.quantity,
        "seeded": new.quantity,
    }
    row = uow.execute(upsert(products).values(values).on_conflict_do_nothing().returning(products)).mappings().first()
    if row is None:
        raise SkuTaken(f"there is a product with sku {new.sku}", sku=new.sku)
    return row


def get_product(uow: Connection, product_id: int) -> Row:
    """One product; raises `ProductNotFound`."""
    row = uow.execute(select(products).where(products.c.id == product_id)).mappings().first()
    if row is None:
        raise ProductNotFound(f"there is no product {product_id}", product_id=product_id)
    return row


def list_products(uow: Connection, after: int, limit: int) -> Sequence[Row]:
    """Up to `limit` products with an id beyond `after`, in the order of their ids."""
    statement = select(products).where(products.c.id > after).order_by(products.c.id).limit(limit)
    return uow.execute(statement).mappings().all()


def restock(uow: Connection, product_id: int, quantity: int) -> Row:
    """Add stock; raises `ProductNotFound`."""
    statement = (
        update(products)
        .where(products.c.id == product_id)
        .values(available=products.c.available + quantity, restocked=products.c.restocked + quantity)
        .returning(products)
    )
    row = uow.execute(statement).mappings().first()
    if row is None:
        raise ProductNotFound(f"there is no product {product_id}", product_id=product_id)
    return row


def reserve(
    uow: Connection, saga_id: UUID, cart_id: UUID, lines: Sequence[Line], hold_seconds: float
) -> tuple[Row, ...]:
    """Hold all lines for the saga, or none. Answers a repeated request as before.

    Raises `ProductNotFound`, `InsufficientStock`, `Suspended`, `ReservationNotHeld` when the hold is over, and
    `ReservedOtherwise` when the saga reserved something else.
    """
    wanted = merged(lines)
    if not _entered(uow, saga_id):
        held = _still_live(reservation(uow, saga_id))
        check_same(saga_id, wanted, {line["product_id"]: line["quantity"] for line in held})
        return held
    shelves = lock_shelves(uow, list(wanted))
    available = {product_id: shelf[0] for product_id, shelf in shelves.items()}
    check_products(wanted, available)
    refusal = shortage(wanted, available)
    if refusal is not None:
        barrier.refuse(uow, RESERVE, {saga_id: refusal})
        raise refusal
    expires_at = func.now() + timedelta(seconds=hold_seconds)
    uow.execute(insert(reservations).values(saga_id=saga_id, cart_id=cart_id, expires_at=expires_at))
    uow.execute(
        insert(reservation_lines),
        [
            {
                "saga_id": saga_id,
                "product_id": product_id,
                "quantity": quantity,
                "unit_price_minor": shelves[product_id][1],
            }
            for product_id, quantity in wanted.items()
        ],
    )
    take(uow, wanted)
    return reservation(uow, saga_id)


def unreserve(uow: Connection, saga_id: UUID) -> tuple[Row, ...]:
    """Give back what the saga holds or bought; nothing when it has nothing, and never twice."""
    if barrier.enter_undo(uow, RESERVE, [saga_id])[saga_id] is Undo.FIRST:
        if _change(uow, saga_id, ReservationStatus.HELD, ReservationStatus.RELEASED):
            move(uow, [saga_id], "held", "available")
        elif _change(uow, saga_id, ReservationStatus.COMMITTED, ReservationStatus.RELEASED):
            move(uow, [saga_id], "sold", "available")
    return reservation(uow, saga_id)


def commit(uow: Connection, saga_id: UUID) -> tuple[Row, ...]:
    """Sell what the saga holds: the pivot. Raises `ReservationNotFound`, `ReservationNotHeld`."""
    if _change(uow, saga_id, ReservationStatus.HELD, ReservationStatus.COMMITTED):
        move(uow, [saga_id], "held", "sold")
    lines = reservation(uow, saga_id)
    if not lines:
        raise ReservationNotFound(f"nothing is reserved for saga {saga_id}", saga_id=saga_id)
    return _still_live(lines)


def expire_holds(uow: Connection, limit: int) -> int:
    """Return up to `limit` holds past their time to the shelves; how many. Several processes may do it at once."""
    overdue = (
        select(reservations.c.saga_id)
        .where(reservations.c.status == ReservationStatus.HELD, reservations.c.expires_at <= func.now())
        .order_by(reservations.c.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    saga_ids = uow.scalars(overdue).all()
    if saga_ids:
        uow.execute(
            update(reservations).where(reservations.c.saga_id.in_(saga_ids)).values(status=ReservationStatus.EXPIRED)
        )
        move(uow, saga_ids, "held", "available")
    return len(saga_ids)


def seconds_to_next_expiry(uow: Connection) -> float | None:
    """Seconds until the first of the holds is over (not negative); None when nothing is held."""
    first = select(func.min(reservations.c.expires_at)).where(reservations.c.status == ReservationStatus.HELD)
    seconds = uow.scalar(select(func.extract("epoch", first.scalar_subquery() - func.now())))
    return None if seconds is None else max(0.0, float(seconds))


def reservation(uow: Connection, saga_id: UUID) -> tuple[Row, ...]:
    """The lines of a saga's reservation, each with what they have in common; empty when there is none."""
    return _lines(uow, reservations.c.saga_id == saga_id)


def reservations_of_cart(uow: Connection, cart_id: UUID) -> tuple[Row, ...]:
    """The lines of all reservations that a cart ever had, oldest first."""
    return _lines(uow, reservations.c.cart_id == cart_id)


def _entered(uow: Connection, saga_id: UUID) -> bool:
    entry = barrier.enter(uow, RESERVE, [saga_id])[saga_id]
    if isinstance(entry, DomainError):
        raise entry
    return entry is Entry.FIRST


def _lines(uow: Connection, condition: Any) -> tuple[Row, ...]:
    statement = (
        select(
            reservations,
            reservation_lines.c.product_id,
            reservation_lines.c.quantity,
            reservation_lines.c.unit_price_minor,
        )
        .join(reservation_lines)
        .where(condition)
        .order_by(reservations.c.created_at, reservations.c.saga_id, reservation_lines.c.product_id)
    )
    return tuple(uow.execute(statement).mappings())


def _still_live(lines: tuple[Row, ...]) -> tuple[Row, ...]:
    if lines[0]["status"] not in LIVE:
        raise not_held(lines[0]["saga_id"], lines[0]["status"])
    return lines


def _change(uow: Connection, saga_id: UUID, before: ReservationStatus, after: ReservationStatus) -> bool:
    """The one conditional update that decides a reservation's fate; whether it was this one."""
    statement = (
        update(reservations)
        .where(reservations.c.saga_id == saga_id, reservations.c.status == before)
        .values(status=after)
    )
    return uow.execute(statement).rowcount == 1
