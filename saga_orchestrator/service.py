"""The use cases of the orchestrator, one function each; every one runs inside the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, null, select, update
from sqlalchemy.dialects.postgresql import insert

from saga_orchestrator.domain import CartRefused, Checkout, SagaEnded, SagaNotFound
from saga_orchestrator.engine import Direction, SagaState, begin, hurried, turn_back
from saga_orchestrator.models import sagas, timeline
from saga_orchestrator.orchestrator import CHECKOUT
from saga_orchestrator.records import checkout_to_row, state_from_json, state_to_json, timeline_entry
from saga_orchestrator.store import DUE
from shared.db import Row
from shared.saga_states import SagaStatus
from shared.wakeup import notify

ASKED = ("cart_id", "user_id", "payment_method", "billing_address")  # what a saga is asked for with


def accept(uow: Connection, checkout: Checkout, forward_seconds: float) -> bool:
    """Make the saga durable and have it run; False when it was accepted before. Raises `CartRefused`."""
    written = uow.execute(
        insert(sagas)
        .values(
            **checkout_to_row(checkout),
            state=state_to_json(begin(CHECKOUT)),
            deadline_at=func.now() + timedelta(seconds=forward_seconds),
        )
        .on_conflict_do_nothing()
    )
    if written.rowcount == 0:
        known = get(uow, checkout.saga_id)
        if any(known[name] != getattr(checkout, name) for name in ASKED):
            raise CartRefused(f"saga {checkout.saga_id} is about another checkout", saga_id=checkout.saga_id)
        return False
    _note(uow, checkout.saga_id, "accepted")
    notify(uow, DUE)
    return True


def get(uow: Connection, saga_id: UUID) -> Row:
    """One saga; raises `SagaNotFound`."""
    return _found(uow.execute(select(sagas).where(sagas.c.saga_id == saga_id)).mappings().first(), saga_id)


def list_sagas(
    uow: Connection, status: SagaStatus | None, cart_id: UUID | None, before: UUID | None, limit: int
) -> Sequence[Row]:
    """Up to `limit` sagas, newest first, older than the saga `before`."""
    statement = select(sagas).order_by(sagas.c.saga_id.desc()).limit(limit)
    if status is not None:
        statement = statement.where(sagas.c.status == status)
    if cart_id is not None:
        statement = statement.where(sagas.c.cart_id == cart_id)
    if before is not None:
        statement = statement.where(sagas.c.saga_id < before)
    return uow.execute(statement).mappings().all()


def get_timeline(uow: Connection, saga_id: UUID) -> Sequence[Row]:
    """All that happened to a saga, in order; raises `SagaNotFound`."""
    get(uow, saga_id)
    statement = select(timeline).where(timeline.c.saga_id == saga_id).order_by(timeline.c.started_at, timeline.c.id)
    return uow.execute(statement).mappings().all()


def step_times(uow: Connection, saga_id: UUID) -> dict[str, tuple[datetime, datetime]]:
    """When the first request for each step's action began and the last one ended."""
    statement = (
        select(timeline.c.step, func.min(timeline.c.started_at), func.max(timeline.c.finished_at))
        .where(timeline.c.saga_id == saga_id, timeline.c.direction == Direction.ACTION)
        .group_by(timeline.c.step)
    )
    return {step: (first, last) for step, first, last in uow.execute(statement)}


def compensate(uow: Connection, saga_id: UUID, reason: str, by: str = "an operator") -> Row:
    """Turn a saga back, or undo a completed one; does nothing when it is on its way back or is back.

    The new epoch takes the saga out of the hand that may hold it, so whatever that one did may be undone.
    """
    row = _locked(uow, saga_id)
    state = state_from_json(row["state"])
    if state.backward:
        return row
    return _turn(uow, row, turn_back(CHECKOUT, state, reason), "compensation_asked", f"{by}: {reason}")


def retry(uow: Connection, saga_id: UUID) -> Row:
    """Have a waiting or stuck saga tried again now, by another lease; raises `SagaEnded`."""
    row = _locked(uow, saga_id)
    state = state_from_json(row["state"])
    if state.ended:
        raise SagaEnded(f"saga {saga_id} is {row['status']}", saga_id=saga_id, saga_status=row["status"])
    return _turn(uow, row, hurried(state), "retry_asked", None)


def _turn(uow: Connection, row: Row, state: SagaState, kind: str, detail: str | None) -> Row:
    saga_id: UUID = row["saga_id"]
    statement = (
        update(sagas)
        .where(sagas.c.saga_id == saga_id)
        .values(
            state=state_to_json(state),
            status=state.status,
            epoch=sagas.c.epoch + 1,
            owner=null(),
            due_at=null() if state.ended else func.now(),
            ended_at=func.now() if state.ended else null(),
            updated_at=func.now(),
        )
        .returning(sagas)
    )
    changed = uow.execute(statement).mappings().one()
    _note(uow, saga_id, kind, detail)
    notify(uow, DUE)
    return changed


def _locked(uow: Connection, saga_id: UUID) -> Row:
    statement = select(sagas).where(sagas.c.saga_id == saga_id).with_for_update(key_share=True)
    return _found(uow.execute(statement).mappings().first(), saga_id)


def _found(row: Any, saga_id: UUID) -> Row:
    if row is None:
        raise SagaNotFound(f"there is no saga {saga_id}", saga_id=saga_id)
    found: Row = row
    return found


def _note(uow: Connection, saga_id: UUID, kind: str, detail: str | None = None) -> None:
    uow.execute(insert(timeline).values(timeline_entry(saga_id, kind, detail=detail)))
