"""Requests cancellations of overdue sagas, has events of silent sagas sent again, and flags sagas as stuck.

Any number of watchdogs may run at once. A watchdog decides nothing: inventario, the arbiter, decides whether an overdue
saga turns back.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from saga_choreography import saga_store, service
from saga_choreography.choreography import CHECKOUT
from saga_choreography.domain import Cancellation, Limits, Resend
from saga_choreography.models import db
from saga_choreography.projection import may_be_late
from saga_choreography.saga_store import SagaFacts
from shared.json_codec import dumps
from shared.saga.states import SagaStatus

BY = "watchdog"
BATCH = 100  # sagas in one transaction, which locks their rows

DUE = text("""
SELECT saga_id, cart_id, facts, status, deadline_at <= now() AS late,
       moved_at + make_interval(secs => :resend) <= now() AS silent,
       moved_at + make_interval(secs => :stuck) <= now() AS stalled
  FROM saga_choreography.sagas
 WHERE due_at <= now() ORDER BY due_at LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
""")
# Events of a silent saga are sent again when it has been silent for twice as long. So a service that is only busy is
# not overloaded, and a saga that was held up for some time ends within twice that time.
WATCH = text("""
UPDATE saga_choreography.sagas AS saga
   SET status = CASE WHEN seen.stuck THEN 'stuck' ELSE saga.status END,
       retrying = saga.retrying OR seen.resent, changed = DEFAULT,
       due_at = least(
           CASE WHEN seen.resent THEN now() + (now() - moved_at)
                ELSE moved_at + make_interval(secs => :resend) END,
           CASE WHEN NOT seen.stuck THEN moved_at + make_interval(secs => :stuck) END,
           CASE WHEN seen.has_deadline THEN deadline_at END
       )
  FROM json_to_recordset(:rows) AS seen (saga_id uuid, resent boolean, stuck boolean, has_deadline boolean)
 WHERE saga.saga_id = seen.saga_id
""")
NEXT = text("SELECT extract(epoch FROM min(due_at) - now()) FROM saga_choreography.sagas WHERE due_at IS NOT NULL")


@dataclass(frozen=True, kw_only=True)
class DueSaga(SagaFacts):
    """A saga that is due: past its deadline (`late`), or without an event for longer than one of the limits."""

    late: bool
    silent: bool  # its events must be sent again
    stalled: bool  # it is to be flagged as stuck


def run_once(limits: Limits) -> int:
    """Check the sagas that are due; return how many."""
    with db.transaction() as connection:
        times = {"resend": limits.resend_seconds, "stuck": limits.stuck_seconds}
        sagas = [DueSaga(**row) for row in connection.execute(DUE, {**times, "limit": BATCH}).mappings()]
        if sagas:
            _watch(connection, sagas, limits)
    return len(sagas)


def idle_seconds(limits: Limits) -> float:
    """Seconds until the first saga is due, at most the shortest limit, since no new saga is due sooner."""
    with db.transaction() as connection:
        seconds = connection.scalar(NEXT)
    most = limits.first_seconds
    return most if seconds is None else min(max(0.0, float(seconds)), most)


def _watch(connection: Connection, sagas: Sequence[DueSaga], limits: Limits) -> None:
    """Cancel, resend or flag each saga. A saga is cancelled at most once: its row is locked, and its facts tell."""
    has_deadline = {saga.saga_id for saga in sagas if may_be_late(CHECKOUT, saga.facts)}
    late = [saga for saga in sagas if saga.late and saga.saga_id in has_deadline]
    cancelled = {saga.saga_id for saga in late}
    if late:
        reason = f"not completed within {limits.forward_seconds:g} s"
        service.cancel(connection, late, Cancellation(reason, BY, only_before_pivot=True), limits)
    silent = [saga for saga in sagas if saga.silent and saga.saga_id not in cancelled]
    if silent:
        reason = f"nothing has happened for {limits.resend_seconds:g} s or more"
        service.resend(connection, silent, Resend(reason, BY))
        saga_store.note(connection, [saga.saga_id for saga in silent], "retry_requested", BY, reason=reason)
    stalled = [saga for saga in sagas if saga.stalled and saga.saga_id not in cancelled]
    newly = [saga.saga_id for saga in stalled if saga.status != SagaStatus.STUCK]
    saga_store.note(connection, newly, "stuck", BY, detail=f"nothing has happened for {limits.stuck_seconds:g} s")
    resent, stuck = {saga.saga_id for saga in silent}, {saga.saga_id for saga in stalled}
    seen = [
        {
            "saga_id": saga.saga_id,
            "resent": saga.saga_id in resent,
            "stuck": saga.saga_id in stuck,
            "has_deadline": saga.saga_id in has_deadline - cancelled,
        }
        for saga in sagas
    ]
    connection.execute(WATCH, {"rows": dumps(seen), "resend": limits.resend_seconds, "stuck": limits.stuck_seconds})
