"""The use cases of the orchestrator, one function each; every one runs inside the caller's transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Connection, Uuid, any_, bindparam, func, insert, null, select, update

from saga_orchestrator.domain import CartRefused, Checkout, SagaEnded, SagaNotFound
from saga_orchestrator.engine import Direction, SagaState, begin, hurried, turn_back
from saga_orchestrator.models import sagas, timeline
from saga_orchestrator.orchestrator import CHECKOUT
from saga_orchestrator.records import (
    checkout_to_row,
    rows_as_json,
    state_from_json,
    state_to_json,
    timeline_entry,
)
from saga_orchestrator.store import DUE
from shared.db import Row
from shared.ids import new_id
from shared.prepared import prepared
from shared.saga_states import SagaStatus
from shared.wakeup import notify

StepTimes = Mapping[str, tuple[datetime, datetime]]
ASKED = ("cart_id", "user_id", "payment_method", "billing_address")  # what a saga is asked for with

_ACCEPT = prepared("""
    WITH new AS (
        SELECT * FROM json_to_recordset(CAST(:sagas AS json)) AS new (
            saga_id uuid, cart_id uuid, user_id text, payment_method text, billing_address json, payment_id uuid,
            order_id uuid, items text, total_minor bigint, state json, note_id uuid
        )
    ),
    accepted AS (
        INSERT INTO sagas (
            saga_id, cart_id, user_id, payment_method, billing_address, payment_id, order_id, items, total_minor,
            state, deadline_at
        )
        SELECT saga_id, cart_id, user_id, payment_method, billing_address, payment_id, order_id, items, total_minor,
            state, now() + :seconds * interval '1 second'
        FROM new
        ON CONFLICT DO NOTHING
        RETURNING saga_id
    ),
    noted AS (
        INSERT INTO timeline (id, saga_id, kind, started_at, finished_at)
        SELECT new.note_id, saga_id, 'accepted', now(), now() FROM accepted JOIN new USING (saga_id)
        ON CONFLICT DO NOTHING
    )
    SELECT saga_id, pg_notify(:due, '') FROM accepted
""").columns(sagas.c.saga_id)

_SAGAS = select(sagas).where(sagas.c.saga_id == any_(bindparam("ids", type_=ARRAY(Uuid))))
_STEP_TIMES = (
    select(timeline.c.saga_id, timeline.c.step, func.min(timeline.c.started_at), func.max(timeline.c.finished_at))
    .where(timeline.c.saga_id == any_(bindparam("ids", type_=ARRAY(Uuid))), timeline.c.direction == Direction.ACTION)
    .group_by(timeline.c.saga_id, timeline.c.step)
)


def accept(uow: Connection, checkouts: Sequence[Checkout], forward_seconds: float) -> list[bool | CartRefused]:
    """Make these sagas durable and have them run; False for one that was accepted before.

    `CartRefused` stands for one that is known as another checkout's.
    """
    first = {checkout.saga_id: checkout for checkout in reversed(checkouts)}
    rows = [
        {
            **checkout_to_row(first[saga_id]),
            "state": state_to_json(begin(CHECKOUT, opened=first[saga_id].items is not None)),
            "note_id": new_id(),
        }
        for saga_id in sorted(first)  # locked in one order
    ]
    values = {"sagas": rows_as_json(rows), "seconds": forward_seconds, "due": DUE}
    accepted = set(uow.scalars(_ACCEPT, values))
    return [
        (checkout.saga_id in accepted and checkout is first[checkout.saga_id]) or _known(uow, checkout)
        for checkout in checkouts
    ]


def _known(uow: Connection, checkout: Checkout) -> bool | CartRefused:
    """False for a saga that is about the same."""
    known = get(uow, checkout.saga_id)
    if any(known[name] != getattr(checkout, name) for name in ASKED):
        return CartRefused(f"saga {checkout.saga_id} is about another checkout", saga_id=checkout.saga_id)
    return False


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


def get_all(uow: Connection, saga_ids: Sequence[UUID]) -> list[tuple[Row, StepTimes] | SagaNotFound]:
    """These sagas, each with the times of its steps."""
    rows = {row["saga_id"]: row for row in uow.execute(_SAGAS, {"ids": list(saga_ids)}).mappings()}
    times = step_times(uow, list(rows))
    return [(rows[each], times[each]) if each in rows else _not_found(each) for each in saga_ids]


def step_times(uow: Connection, saga_ids: Sequence[UUID]) -> Mapping[UUID, StepTimes]:
    """When the first request for each step's action began and the last one ended, by saga."""
    times: dict[UUID, dict[str, tuple[datetime, datetime]]] = {saga_id: {} for saga_id in saga_ids}
    for saga_id, step, first, last in uow.execute(_STEP_TIMES, {"ids": saga_ids}):
        times[saga_id][step] = (first, last)
    return times


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
        raise _not_found(saga_id)
    found: Row = row
    return found


def _not_found(saga_id: UUID) -> SagaNotFound:
    return SagaNotFound(f"there is no saga {saga_id}", saga_id=saga_id)


def _note(uow: Connection, saga_id: UUID, kind: str, detail: str | None = None) -> None:
    uow.execute(insert(timeline).values(timeline_entry(saga_id, kind, detail=detail)))
