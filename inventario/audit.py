"""inventario's books: totals that must balance in every snapshot."""

from typing import Any

from sqlalchemy import Integer, cast, func, or_, select

from inventario.models import db, outbox, products, reservation_lines, reservations
from shared.audit import count_by, digest


def audit() -> dict[str, Any]:
    """Stock by shelf, what reservations say of the same, overdue holds, and the products that don't add up."""
    by_product = (
        select(reservation_lines.c.product_id, _quantity("held"), _quantity("committed"))
        .join(reservations)
        .group_by(reservation_lines.c.product_id)
        .subquery()
    )
    broken = or_(
        products.c.available + products.c.held + products.c.sold != products.c.seeded + products.c.restocked,
        products.c.available < 0,
        products.c.held < 0,
        products.c.sold < 0,
        products.c.held != func.coalesce(by_product.c.held, 0),
        products.c.sold != func.coalesce(by_product.c.committed, 0),
    )
    broken_products = (
        select(products.c.id).outerjoin(by_product, by_product.c.product_id == products.c.id).where(broken).limit(20)
    )
    shelves = ["available", "held", "sold", "seeded", "restocked"]
    with db.transaction() as uow:
        uow.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        sums = uow.execute(select(*[_total(products.c[shelf], shelf) for shelf in shelves])).mappings().one()
        worth = func.sum(reservation_lines.c.quantity * reservation_lines.c.unit_price_minor)
        overdue = reservations.c.expires_at < func.now()
        return {
            "stock": dict(sums),
            "broken_products": uow.scalars(broken_products).all(),
            "reservations": count_by(uow, reservations.c.status),
            "overdue_holds": uow.scalar(select(func.count()).where(reservations.c.status == "held", overdue)),
            "oldest_hold_overdue_seconds": uow.scalar(
                select(
                    cast(
                        func.coalesce(func.max(func.extract("epoch", func.now() - reservations.c.expires_at)), 0),
                        Integer,
                    )
                ).where(reservations.c.status == "held", overdue)
            ),
            "committed_minor": uow.scalar(
                select(cast(func.coalesce(worth, 0), products.c.price_minor.type))
                .select_from(reservations.join(reservation_lines))
                .where(reservations.c.status == "committed")
            ),
            "committed_sagas": digest(uow, reservations.c.saga_id, reservations.c.status == "committed"),
            "outbox": outbox.waiting(uow),
        }


def _total(column: Any, name: str) -> Any:
    return cast(func.coalesce(func.sum(column), 0), products.c.price_minor.type).label(name)


def _quantity(status: str) -> Any:
    """What the reservations with this status add up to."""
    quantity = func.sum(reservation_lines.c.quantity).filter(reservations.c.status == status)
    return func.coalesce(quantity, 0).label(status)
