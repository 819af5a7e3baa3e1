"""What executors read and write: leases with an epoch, and writes that count only under the lease.

Each is one statement for all the sagas it is about.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from saga_orchestrator.domain import Checkout
from saga_orchestrator.engine import SagaState
from saga_orchestrator.records import checkout_from_row, rows_as_json, state_from_json, state_to_json
from shared.db import Row
from shared.json_codec import dumps
from shared.prepared import prepared
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
    learned: bool = False  # items and total, from carrito, under this lease
    entries: list[dict[str, Any]] = field(default_factory=list)  # of the timeline, not written yet


class Kind(StrEnum):
    """Why a saga is written."""

    DECIDE = "decide"  # it turns back, or goes for its pivot
    END = "end"
    HAND_BACK = "hand_back"  # until it is due again
    PROGRESS = "progress"  # what people see of it, and its lease renewed


LASTING = frozenset({Kind.DECIDE, Kind.END})  # a crash of the server may forget the others: they can be found out again


@dataclass(frozen=True)
class Save:
    """A saga as it is to be written; due again in so many seconds, or never (None) since it has ended."""

    kind: Kind
    lease: Lease
    due_in: float | None


@dataclass(frozen=True)
class Claimed:
    """What was due and is in hand now, and in how many seconds something else is due (not negative; None: never)."""

    leases: list[Lease]
    next_in: float | None


# A lease waits for no disk. A crash of the server may take it back and give its epoch out again, to this executor or
# to another; that is why writes name the owner, too.
_CLAIM = prepared("""
    WITH lazily AS (SELECT set_config('synchronous_commit', 'off', true)),
    picked AS (
        SELECT saga_id FROM sagas WHERE due_at <= now() ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ),
    taken AS (
        UPDATE sagas SET epoch = epoch + 1, owner = :owner, due_at = now() + :seconds * interval '1 second'
        FROM lazily
        WHERE saga_id = ANY (ARRAY(SELECT saga_id FROM picked))
        RETURNING saga_id, cart_id, user_id, payment_method, billing_address, payment_id, order_id, items,
            total_minor, state, epoch, extract(epoch FROM deadline_at - now()) AS deadline_seconds
    ),
    next AS (
        SELECT min(due_at) AS due_at FROM sagas WHERE due_at IS NOT NULL AND saga_id NOT IN (SELECT saga_id FROM picked)
    )
    SELECT taken.*, extract(epoch FROM next.due_at - now()) AS next_in FROM next LEFT JOIN taken ON true
""")

# Each saga is written under its own lease; those that come back are those that were still in hand. Their ids are given
# twice, since PostgreSQL, which expects a hundred rows of JSON, would rather read the whole table than look them up.
_SAVE = prepared("""
    WITH new AS (
        SELECT * FROM json_to_recordset(CAST(:saves AS json)) AS new (
            saga_id uuid, epoch integer, owner text, state json, status text, items text, total_minor bigint,
            due_in float8
        )
    ),
    written AS (
        UPDATE sagas SET state = new.state, status = new.status,
            items = coalesce(new.items, sagas.items), total_minor = coalesce(new.total_minor, sagas.total_minor),
            updated_at = now(), due_at = now() + new.due_in * interval '1 second',
            ended_at = CASE WHEN new.due_in IS NULL THEN now() END
        FROM new
        WHERE sagas.saga_id = ANY (CAST(:saga_ids AS uuid[]))
            AND sagas.saga_id = new.saga_id AND sagas.epoch = new.epoch AND sagas.owner = new.owner
        RETURNING sagas.saga_id, sagas.ended_at
    ),
    noted AS (
        INSERT INTO timeline (
            id, saga_id, kind, step, direction, attempt, outcome, started_at, finished_at, detail, executor
        )
        SELECT id, saga_id, kind, step, direction, attempt, outcome, started_at, finished_at, detail, executor
        FROM json_to_recordset(CAST(:entries AS json)) AS entry (
            id uuid, saga_id uuid, kind text, step text, direction text, attempt integer, outcome text,
            started_at timestamptz, finished_at timestamptz, detail text, executor text
        )
        JOIN written USING (saga_id)
        ON CONFLICT DO NOTHING
    )
    SELECT saga_id, CASE WHEN ended_at IS NOT NULL THEN pg_notify(:ends, saga_id::text) END FROM written
""")


def claim(uow: Connection, owner: str, limit: int, lease_seconds: float) -> Claimed:
    """Take up to `limit` sagas that are due; `owner` names this claim and no other. None is given twice."""
    rows = uow.execute(_CLAIM, {"owner": owner, "limit": limit, "seconds": lease_seconds}).mappings().all()
    next_in = rows[0]["next_in"]
    return Claimed(
        [_lease(row, owner) for row in rows if row["saga_id"] is not None],
        None if next_in is None else max(0.0, float(next_in)),
    )


def save(uow: Connection, saves: Sequence[Save]) -> set[UUID]:
    """Write these sagas, each at most once among them; those whose lease is over are left alone, and returned."""
    if LASTING.isdisjoint(each.kind for each in saves):
        uow.execute(text("SET LOCAL synchronous_commit = off"))
    leases = {each.lease.checkout.saga_id: each.lease for each in saves}
    rows = sorted((_row(each) for each in saves), key=lambda row: row["saga_id"])  # locked in one order
    entries = [entry for lease in leases.values() for entry in lease.entries]
    values = {"saga_ids": list(leases), "saves": rows_as_json(rows), "entries": rows_as_json(entries), "ends": ENDS}
    written = set(uow.scalars(_SAVE, values))
    if any(each.kind is Kind.HAND_BACK for each in saves):
        notify(uow, DUE)
    return leases.keys() - written


def _row(save: Save) -> dict[str, Any]:
    lease = save.lease
    return {
        "saga_id": lease.checkout.saga_id,
        "epoch": lease.epoch,
        "owner": lease.owner,
        "state": state_to_json(lease.state),
        "status": lease.state.status,
        "items": dumps(lease.checkout.items) if lease.learned else None,
        "total_minor": lease.checkout.total_minor if lease.learned else None,
        "due_in": save.due_in,
    }


def _lease(row: Row, owner: str) -> Lease:
    state = state_from_json(row["state"])
    return Lease(checkout_from_row(row), state, row["epoch"], owner, float(row["deadline_seconds"]))
