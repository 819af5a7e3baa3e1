"""The statements that move stock: always by increments, rows always locked in the order of product id."""

from collections.abc import Mapping, Sequence
from typing import Literal
from uuid import UUID

from sqlalchemy import Column, Connection, func, select, update

from inventario.models import products, reservation_lines

Shelf = Literal["available", "held", "sold"]


def lock_shelves(uow: Connection, product_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Lock these products; (available, price in minor units) by product id."""
    statement = (
        select(products.c.id, products.c.available, products.c.price_minor)
        .where(products.c.id.in_(product_ids))
        .order_by(products.c.id)
        .with_for_update(key_share=True)
    )
    return {row.id: (row.available, row.price_minor) for row in uow.execute(statement)}


def take(uow: Connection, wanted: Mapping[int, int]) -> None:
    """Move the wanted quantities of locked products from available to held."""
    for product_id, quantity in wanted.items():
        uow.execute(
            update(products)
            .where(products.c.id == product_id)
            .values(available=products.c.available - quantity, held=products.c.held + quantity)
        )


def move(uow: Connection, saga_ids: Sequence[UUID], source: Shelf, target: Shelf) -> None:
    """Move everything that these sagas reserved from one shelf to another."""
    moved = (
        select(reservation_lines.c.product_id, func.sum(reservation_lines.c.quantity).label("quantity"))
        .where(reservation_lines.c.saga_id.in_(saga_ids))
        .group_by(reservation_lines.c.product_id)
        .cte("moved")
    )
    locked = (
        select(products.c.id, moved.c.quantity)
        .join(moved, moved.c.product_id == products.c.id)
        .order_by(products.c.id)
        .with_for_update(of=products, key_share=True)
        .cte("locked")
    )
    from_shelf: Column[int] = products.c[source]
    to_shelf: Column[int] = products.c[target]
    uow.execute(
        update(products)
        .where(products.c.id == locked.c.id)
        .values({from_shelf: from_shelf - locked.c.quantity, to_shelf: to_shelf + locked.c.quantity})
    )
