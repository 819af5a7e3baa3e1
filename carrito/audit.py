"""carrito's books: which orders stand, what they are worth, and that carts and orders agree."""

from typing import Any

from sqlalchemy import Integer, cast, func, select

from carrito.models import carts, db, orders, outbox
from shared.audit import count_by, digest


def audit() -> dict[str, Any]:
    """Carts and orders by status, confirmed totals by currency, and the orders whose cart says something else."""
    confirmed = orders.c.status == "confirmed"
    total = select(orders.c.currency, func.sum(orders.c.total_minor)).where(confirmed).group_by(orders.c.currency)
    disagreeing = (
        select(orders.c.id)
        .join(carts, carts.c.id == orders.c.cart_id)
        .where(confirmed, (carts.c.saga_id != orders.c.saga_id) | (carts.c.status != "checked_out"))
    )
    late = func.extract("epoch", func.now() - func.min(carts.c.handover_due_at))
    overdue = select(cast(func.greatest(0, func.coalesce(late, 0)), Integer))
    with db.transaction() as uow:
        uow.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return {
            "carts": count_by(uow, carts.c.status),
            "orders": count_by(uow, orders.c.status),
            "confirmed_minor": {currency: int(minor) for currency, minor in uow.execute(total)},
            "confirmed_without_cart": uow.scalars(disagreeing.limit(20)).all(),
            "awaited_handovers": uow.scalar(select(func.count()).where(carts.c.handover_due_at.is_not(None))),
            "oldest_handover_overdue_seconds": uow.scalar(overdue),
            "confirmed_sagas": digest(uow, orders.c.saga_id, confirmed),
            "outbox": outbox.waiting(uow),
        }
