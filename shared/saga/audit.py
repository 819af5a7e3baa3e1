"""A saga service's part of the audit: its books, and the status of each saga."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy import Connection, func, select

from shared.auditing.endpoint import Audit, facts_statement
from shared.messaging.outbox import Outbox
from shared.purging.retention import retention_of
from shared.saga.port import SagaTables

_SAGA_IDS = "SELECT saga_id FROM sagas WHERE saga_id > :after ORDER BY saga_id LIMIT :limit"
_FACTS = "SELECT saga_id, status FROM sagas WHERE saga_id = ANY (:ids)"


def audit_of(tables: SagaTables) -> Audit:
    """Return what the saga service shows auditors about these sagas."""
    return Audit(tables.audit_log, partial(_books, tables=tables), _SAGA_IDS, facts_statement(_FACTS))


def _books(connection: Connection, tables: SagaTables) -> Mapping[str, Any]:
    """Return sagas by status, live ones, the age of the oldest in seconds, and carts that two live sagas have."""
    sagas = tables.sagas
    age = func.extract("epoch", func.now() - func.min(sagas.c.created_at))
    live, oldest = connection.execute(select(func.count(), age).where(tables.live)).one()
    carts = select(sagas.c.cart_id).where(tables.live).group_by(sagas.c.cart_id).having(func.count() > 1)
    return {
        "sagas": tables.audit_log.totals(connection)["sagas"],
        "live": live,
        "oldest_live_seconds": None if oldest is None else int(oldest),
        "carts_with_two_live_sagas": connection.scalars(carts.limit(20)).all(),
        **({} if tables.outbox is None else _unpublished(connection, tables.outbox)),
        "saga_retention_seconds": retention_of(connection).sagas,  # sagas that ended before may have been purged
    }


def _unpublished(connection: Connection, outbox: Outbox) -> Mapping[str, int]:
    return {"outbox": outbox.waiting(connection), "oldest_unpublished_seconds": outbox.oldest_seconds(connection)}
