"""The choreography's books, as far as it has heard: every saga has ended, or is on its way."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, select

from saga_choreography.models import audit_log, outbox, sagas
from shared.auditing.endpoint import Audit, facts_statement
from shared.purging.retention import retention_of
from shared.saga.states import ENDED

_SAGA_IDS = "SELECT saga_id FROM sagas WHERE saga_id > :after ORDER BY saga_id LIMIT :limit"
_FACTS = "SELECT saga_id, status FROM sagas WHERE saga_id = ANY (:ids)"
LIVE = sagas.c.status.not_in(sorted(ENDED))


def books(connection: Connection) -> Mapping[str, Any]:
    """Sagas by status, those under way, the age of the oldest (seconds), and carts that two of them have."""
    age = func.extract("epoch", func.now() - func.min(sagas.c.created_at))
    live, oldest = connection.execute(select(func.count(), age).where(LIVE)).one()
    carts = select(sagas.c.cart_id).where(LIVE).group_by(sagas.c.cart_id).having(func.count() > 1)
    return {
        "sagas": audit_log.totals(connection)["sagas"],
        "live": live,
        "oldest_live_seconds": None if oldest is None else int(oldest),
        "carts_with_two_live_sagas": connection.scalars(carts.limit(20)).all(),
        "outbox": outbox.waiting(connection),
        "oldest_unpublished_seconds": outbox.oldest_seconds(connection),
        "saga_retention_seconds": retention_of(connection).sagas,  # those that ended before may be gone
    }


audit = Audit(audit_log, books, _SAGA_IDS, facts_statement(_FACTS))
