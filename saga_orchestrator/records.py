"""Between rows and the engine's values."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from saga_orchestrator.domain import Checkout
from saga_orchestrator.engine import SagaState, StepState
from shared.db import Row
from shared.ids import new_id
from shared.json_codec import dumps, loads
from shared.saga_states import StepStatus


def state_to_json(state: SagaState) -> dict[str, Any]:
    """The state as JSON holds it."""
    return asdict(state)


def state_from_json(stored: Mapping[str, Any]) -> SagaState:
    """The state that was stored."""
    tasks = tuple(StepState(**{**task, "status": StepStatus(task["status"])}) for task in stored["tasks"])
    return SagaState(**{**stored, "tasks": tasks})


def checkout_to_row(checkout: Checkout) -> dict[str, Any]:
    """The columns of what a saga is about. Prices are kept exact: as JSON text of our own making."""
    items = None if checkout.items is None else dumps(checkout.items)
    return {**vars(checkout), "items": items}


def checkout_from_row(row: Row) -> Checkout:
    """What a saga is about."""
    items = None if row["items"] is None else tuple(loads(row["items"]))
    columns = {name: row[name] for name in Checkout.__dataclass_fields__}
    return Checkout(**{**columns, "items": items})


def timeline_entry(saga_id: UUID, kind: str, **columns: Any) -> dict[str, Any]:
    """A row of the timeline; what it isn't told is null, and it happened now."""
    now = datetime.now(UTC)
    empty = dict.fromkeys(("step", "direction", "attempt", "outcome", "detail", "executor"))
    return {**empty, "id": new_id(), "saga_id": saga_id, "kind": kind, "started_at": now, "finished_at": now, **columns}
