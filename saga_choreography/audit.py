"""The choreography's books, as far as it has heard: every saga has ended, or is on its way."""

from typing import Any

from sqlalchemy import func, select

from saga_choreography.models import db, outbox, sagas
from shared.audit import count_by, digest
from shared.retention import retention_of
from shared.saga_states import ENDED


def audit() -> dict[str, Any]:
    """Sagas by status, those under way, the age of the oldest (seconds), and which were completed."""
    live = sagas.c.status.not_in(ENDED)
    with db.transaction() as uow:
        uow.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        count, age = uow.execute(
            select(func.count(), func.extract("epoch", func.now() - func.min(sagas.c.created_at))).where(live)
        ).one()
        carts = select(sagas.c.cart_id).where(live).group_by(sagas.c.cart_id).having(func.count() > 1)
        return {
            "sagas": count_by(uow, sagas.c.status),
            "live": count,
            "oldest_live_seconds": None if age is None else int(age),
            "carts_with_two_live_sagas": uow.scalars(carts.limit(20)).all(),
            "completed_sagas": digest(uow, sagas.c.saga_id, sagas.c.status == "completed"),
            "outbox": outbox.waiting(uow),
            "saga_retention_seconds": retention_of(uow).sagas,  # those that ended before may be gone
        }
