"""The columns that the tables of sagas have in common in both styles."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from shared.database.connections import Row


@dataclass(frozen=True, kw_only=True)
class SagaRow:
    """A saga's row as both styles show it; each style adds columns of its own.

    User and payment method are None while the event that names them has not arrived.
    """

    saga_id: UUID
    status: str
    cart_id: UUID
    user_id: str | None
    payment_method: str | None
    first_effect_at: datetime | None
    due_at: datetime | None
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None

    @classmethod
    def columns(cls) -> str:
        """SQL: the names of the columns."""
        return ", ".join(cls.__dataclass_fields__)

    @classmethod
    def of(cls, row: Row) -> Self:
        """Make it from a row that has these columns, and perhaps others."""
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})


def shown_columns(saga: SagaRow) -> dict[str, Any]:
    """Return the columns that `SagaOut` and `SagaSummary` show unchanged."""
    return {name: getattr(saga, name) for name in _SHOWN}


_SHOWN = ("saga_id", "status", "cart_id", "user_id", "payment_method", "created_at", "updated_at", "ended_at")
