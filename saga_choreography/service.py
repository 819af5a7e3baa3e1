"""The use cases of the choreography, one function each; every one runs inside the caller's transaction."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert, select

from saga_choreography.domain import Cancellation, CartRefused, Checkout, Limits, Resend, SagaEnded, SagaNotFound
from saga_choreography.models import events, notes, outbox, sagas
from saga_choreography.projection import fault_of, turned_back
from saga_choreography.recording import record
from shared.database.connections import Row
from shared.database.prepared import columns_of, prepared
from shared.errors import Conflict
from shared.event_bus import CheckoutCancelRequested, Event, SagaResendRequested
from shared.ids import new_id
from shared.json_codec import dumps
from shared.purging.retention import TooOld, check_undoable, retention_of, too_old_sql
from shared.saga.states import ENDED, SagaStatus

# Nothing that is known is changed, nor locked: `recording.py` makes rows and then locks older ones, so who locked older
# ones here and then made rows would be in a deadlock with it.
REGISTER = prepared(f"""
INSERT INTO saga_choreography.sagas (saga_id, cart_id, facts, user_id, payment_method, deadline_at, due_at)
SELECT saga_id, cart_id, CAST('{{}}' AS json), user_id, payment_method,
       now() + make_interval(secs => CAST(:forward AS float8)),
       now() + make_interval(secs => CAST(:first AS float8))
  FROM json_to_recordset(CAST(:rows AS json))
    AS checkout (saga_id uuid, cart_id uuid, user_id text, payment_method text)
 WHERE NOT {too_old_sql("saga_id", ":kept")}
 ORDER BY saga_id
ON CONFLICT DO NOTHING
RETURNING saga_id
""")  # noqa: S608  (our own)
SHOW = prepared(f"""
SELECT {columns_of(sagas)} FROM saga_choreography.sagas WHERE saga_id = ANY(CAST(:ids AS uuid[]))
""")  # noqa: S608  (our own)


def register(connection: Connection, checkouts: Sequence[Checkout], limits: Limits) -> list[SagaStatus | Conflict]:
    """Have these sagas seen from now on; the status of each, whose events may be here already.

    `TooOld` stands for one that may have been forgotten, `CartRefused` for one that is known as another checkout's; of
    one whose beginning has not come yet, only the cart is known. Repeated, it changes nothing. Durable once it is
    committed: carrito does not hand the checkout over again then, and the saga's first event may be lost.
    """
    by_id = {each.saga_id: each for each in checkouts}
    times = {"forward": limits.forward_seconds, "first": limits.first_seconds, "kept": retention_of(connection).sagas}
    rows = dumps([vars(each) for each in by_id.values()])
    new = set(connection.scalars(REGISTER, {"rows": rows, **times}))
    known = {saga_id: {**vars(by_id[saga_id]), "status": SagaStatus.PENDING} for saga_id in new}
    if older := by_id.keys() - new:
        known.update({row["saga_id"]: dict(row) for row in connection.execute(SHOW, {"ids": list(older)}).mappings()})
    return [_registered(each, known.get(each.saga_id)) for each in checkouts]


def _registered(checkout: Checkout, known: Mapping[str, Any] | None) -> SagaStatus | Conflict:
    if known is None:
        return TooOld(f"saga {checkout.saga_id} is too old to begin", saga_id=checkout.saga_id)
    if any(known[name] not in {value, None} for name, value in vars(checkout).items()):
        return CartRefused(f"saga {checkout.saga_id} is about another checkout", saga_id=checkout.saga_id)
    return SagaStatus(known["status"])


def get(connection: Connection, saga_id: UUID) -> Row:
    """One saga; raises `SagaNotFound`."""
    return _found(connection.execute(SHOW, {"ids": [saga_id]}).mappings().first(), saga_id)


def get_all(connection: Connection, saga_ids: Sequence[UUID]) -> list[Row | SagaNotFound]:
    """Each of these sagas, or that there is none."""
    known = {row["saga_id"]: row for row in connection.execute(SHOW, {"ids": list(saga_ids)}).mappings()}
    return [known.get(saga_id) or _not_found(saga_id) for saga_id in saga_ids]


def get_timeline(connection: Connection, saga_id: UUID) -> tuple[Sequence[Row], Sequence[Row]]:
    """All events of a saga, and all that was done about it; raises `SagaNotFound`."""
    get(connection, saga_id)
    happened = connection.execute(select(events).where(events.c.saga_id == saga_id)).mappings().all()
    done = connection.execute(select(notes).where(notes.c.saga_id == saga_id)).mappings().all()
    return happened, done


def compensate(connection: Connection, saga_id: UUID, request: Cancellation, limits: Limits) -> Row:
    """Have a saga turned back, or a completed one undone; of one on its way back, the events are sent again.

    inventario alone decides where it turns: the request goes to it, and to no one else. Raises `SagaNotFound` and
    `TooOld`.
    """
    row = _locked(connection, saga_id)
    note(connection, [saga_id], "compensation_asked", request.by, reason=request.reason)
    if not turned_back(row["facts"]):
        check_undoable(connection, saga_id)
        cancel(connection, [row], request, limits)
        return get(connection, saga_id)
    if row["status"] not in ENDED:
        resend(connection, [row], Resend(request.reason, request.by, request.trace))
    return row


def retry(connection: Connection, saga_id: UUID, request: Resend) -> Row:
    """Have all events of a saga sent again, of which one may have been lost; raises `SagaNotFound`, `SagaEnded`."""
    row = _locked(connection, saga_id)
    if row["status"] in ENDED:
        raise SagaEnded(f"saga {saga_id} is {row['status']}", saga_id=saga_id, saga_status=row["status"])
    note(connection, [saga_id], "retry_asked", request.by, reason=request.reason)
    resend(connection, [row], request)
    return row


def resend(connection: Connection, rows: Sequence[Row], request: Resend) -> None:
    """Have every service, this one too, send the events of these sagas again; who has them drops them."""
    outbox.send_again(connection, [row["saga_id"] for row in rows])
    said = {"reason": request.reason, "by": request.by}
    payloads = [SagaResendRequested(saga_id=row["saga_id"], cart_id=row["cart_id"], **said) for row in rows]
    outbox.stage(connection, [Event(payload, trace=request.trace) for payload in payloads])


def cancel(connection: Connection, rows: Sequence[Row], request: Cancellation, limits: Limits) -> None:
    """Publish the request that inventario turns these sagas back, and show it at once."""
    said = {"reason": request.reason, "by": request.by, "only_before_pivot": request.only_before_pivot}
    payloads = [CheckoutCancelRequested(saga_id=row["saga_id"], cart_id=row["cart_id"], **said) for row in rows]
    faults = [fault_of(row["facts"]) for row in rows]
    events = [Event(payload, trace=request.trace, fault=fault) for payload, fault in zip(payloads, faults, strict=True)]
    outbox.stage(connection, events)
    record(connection, events, limits)


def note(connection: Connection, saga_ids: Sequence[UUID], kind: str, by: str, **said: str) -> None:
    """Keep what was done about sagas, and by whom; with `detail`, or a `reason`."""
    common = {"kind": kind, "by": by, "detail": None, "reason": None, **said}
    if saga_ids:
        connection.execute(insert(notes), [{"id": new_id(), "saga_id": saga_id, **common} for saga_id in saga_ids])


def _locked(connection: Connection, saga_id: UUID) -> Row:
    statement = select(sagas).where(sagas.c.saga_id == saga_id).with_for_update(key_share=True)
    return _found(connection.execute(statement).mappings().first(), saga_id)


def _found(row: Any, saga_id: UUID) -> Row:
    if row is None:
        raise _not_found(saga_id)
    found: Row = row
    return found


def _not_found(saga_id: UUID) -> SagaNotFound:
    return SagaNotFound(f"there is no saga {saga_id}", saga_id=saga_id)
