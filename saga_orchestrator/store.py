"""What executors read and write: leases with an epoch, and writes that count only under the lease."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, func, null, select, text, update
from sqlalchemy.dialects.postgresql import insert

from saga_orchestrator.domain import Checkout, LeaseLost
from saga_orchestrator.engine import SagaState
from saga_orchestrator.models import sagas, timeline
from saga_orchestrator.records import checkout_from_row, state_from_json, state_to_json
from shared.json_codec import dumps
from shared.wakeup import notify

DUE, ENDS = "saga_due", "saga_ended"  # channels: a saga may be taken; a saga has ended


@dataclass
class Lease:
    """A saga in hand: who has it, under which epoch, and how many seconds of its forward time are left."""

    checkout: Checkout
    state: SagaState
    epoch: int
    owner: str
    deadline_seconds: float
    entries: list[dict[str, Any]] = field(default_factory=list)  # of the timeline, not written yet


def claim(uow: Connection, owner: str, limit: int, lease_seconds: float) -> list[Lease]:
    """Take up to `limit` sagas that are due; `owner` names this claim and no other. None is given twice.

    A lease waits for no disk. A crash of the server may take it back and give its epoch out again, to this executor
    or to another; that is why its writes name the owner too.
    """
    _lazily(uow)
    picked = (
        select(sagas.c.saga_id)
        .where(sagas.c.due_at <= func.now())
        .order_by(sagas.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("picked")
    )
    taken = (
        update(sagas)
        .where(sagas.c.saga_id == picked.c.saga_id)
        .values(epoch=sagas.c.epoch + 1, owner=owner, due_at=_in(lease_seconds))
        .returning(
            sagas,
            func.extract("epoch", sagas.c.deadline_at - func.now()).label("deadline_seconds"),
        )
    )
    return [_lease(row, owner) for row in uow.execute(taken).mappings()]


def seconds_to_next(uow: Connection) -> float | None:
    """Seconds until some saga is due (not negative); None when none will be."""
    seconds = uow.scalar(
        select(func.extract("epoch", func.min(sagas.c.due_at) - func.now())).where(sagas.c.due_at.is_not(None))
    )
    return None if seconds is None else max(0.0, float(seconds))


def decide(uow: Connection, lease: Lease, lease_seconds: float) -> None:
    """Write down, for good, that the saga turns back, or that it goes for its pivot. Raises `LeaseLost`."""
    _save(uow, lease, {"due_at": _in(lease_seconds)})


def end(uow: Connection, lease: Lease) -> None:
    """Write down, for good, that the saga has ended. Raises `LeaseLost`."""
    _save(uow, lease, {"due_at": null(), "ended_at": func.now()})
    notify(uow, ENDS, str(lease.checkout.saga_id))


def hand_back(uow: Connection, lease: Lease, seconds: float) -> None:
    """Let go of the saga until it is due again in so many seconds. Raises `LeaseLost`."""
    _lazily(uow)
    _save(uow, lease, {"due_at": _in(seconds)})
    notify(uow, DUE)


def progress(uow: Connection, leases: Sequence[Lease], lease_seconds: float) -> list[Lease]:
    """Renew these leases and write what people see of them; those that were lost are returned."""
    _lazily(uow)
    lost = []
    for lease in leases:
        try:
            _save(uow, lease, {"due_at": _in(lease_seconds)})
        except LeaseLost:
            lost.append(lease)
    return lost


def _lazily(uow: Connection) -> None:
    """What this transaction writes may be lost in a crash of the server: it can be found out again."""
    uow.execute(text("SET LOCAL synchronous_commit = off"))


def _save(uow: Connection, lease: Lease, values: dict[str, Any]) -> None:
    status = lease.state.status
    written = uow.execute(
        update(sagas)
        .where(sagas.c.saga_id == lease.checkout.saga_id, sagas.c.epoch == lease.epoch, sagas.c.owner == lease.owner)
        .values(
            state=state_to_json(lease.state),
            status=status,
            items=None if lease.checkout.items is None else dumps(lease.checkout.items),
            total_minor=lease.checkout.total_minor,
            updated_at=func.now(),
            **values,
        )
    )
    if written.rowcount == 0:
        raise LeaseLost(f"epoch {lease.epoch} of saga {lease.checkout.saga_id} is over")
    if lease.entries:
        uow.execute(insert(timeline).on_conflict_do_nothing(), lease.entries)


def _lease(row: Any, owner: str) -> Lease:
    state = state_from_json(row["state"])
    return Lease(checkout_from_row(row), state, row["epoch"], owner, float(row["deadline_seconds"]))


def _in(seconds: float) -> Any:
    return func.now() + timedelta(seconds=seconds)
