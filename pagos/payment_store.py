"""The SQL statements that find payments. Ids are passed as arrays, whose length PostgreSQL knows when it plans."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection

from pagos.domain import Payment
from pagos.models import payments
from shared.database.prepared import columns_of, prepared

_FIND = prepared(f"""
    SELECT {columns_of(payments)} FROM payments
    WHERE saga_id = ANY(CAST(:saga_ids AS uuid[])) OR id = ANY(CAST(:payment_ids AS uuid[]))
""")  # noqa: S608  (our own)
_OF_CART = prepared(f"""
    SELECT {columns_of(payments)} FROM payments WHERE cart_id = :cart_id ORDER BY created_at, id
""")  # noqa: S608  (our own)


def find(connection: Connection, saga_ids: Sequence[UUID], payment_ids: Sequence[UUID]) -> list[Payment]:
    """Return the payments of these sagas and those with these ids."""
    if not saga_ids and not payment_ids:
        return []
    ids = {"saga_ids": list(saga_ids), "payment_ids": list(payment_ids)}
    return [Payment(**row) for row in connection.execute(_FIND, ids).mappings()]


def of_cart(connection: Connection, cart_id: UUID) -> list[Payment]:
    """Return all saga payments that a cart ever had, also declined ones, oldest first."""
    return [Payment(**row) for row in connection.execute(_OF_CART, {"cart_id": cart_id}).mappings()]
