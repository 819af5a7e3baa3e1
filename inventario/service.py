"""The use cases of reservations; every one runs inside the caller's transaction. Those of products: `catalogue.py`.

Those of a saga's steps take many sagas at once, each once at most, and return an outcome for each, in order.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, func, select

from inventario import stock_store
from inventario.domain import (
    COMMIT,
    EXPIRE,
    LIVE,
    RELEASE,
    RELEASE_HELD,
    RESERVE,
    STAY,
    TURN_BACK,
    TURN_BACK_SOLD,
    Cancel,
    ReservationNotFound,
    ReservationRequest,
    ReservationStatus,
    Reserve,
    Transitions,
    Verdict,
    allocate,
    cancelled,
    not_held,
)
from inventario.models import barrier, reservation_lines, reservations
from inventario.stock_store import Changed, Lines
from shared.database.connections import Row
from shared.errors import DomainError, RepeatedRefusal
from shared.saga.barrier import ActionEntry, CompensationEntry
from shared.saga.standing import SagaStands


@dataclass(frozen=True)
class Reservation:
    """A saga's reservation: its lines, each with what they have in common; and whether the step was new."""

    lines: Lines
    first: bool


def reserve(
    connection: Connection, requests: Sequence[Reserve], hold_seconds: float
) -> list[Reservation | DomainError]:
    """Hold all lines of each saga, or none; of two that want the same, the one that is named first has it.

    Answers a repeated request as before. `ProductNotFound`, `InsufficientStock`, `CheckoutCancelled`, `Suspended`;
    `ReservationNotHeld` when the hold is over, and `RepeatedOtherwise` when the saga reserved something else.
    """
    entries = barrier.enter_action(connection, RESERVE, {each.saga_id: each.named for each in requests})
    outcomes: dict[UUID, Reservation | DomainError] = {
        saga_id: entry for saga_id, entry in entries.items() if isinstance(entry, DomainError)
    }
    # In this order, since it locks reservations, and whoever has locked products must not wait for one.
    outcomes |= _held_before(connection, [each for each in requests if entries[each.saga_id] is ActionEntry.REPEATED])
    outcomes |= _hold(
        connection, [each for each in requests if entries[each.saga_id] is ActionEntry.FIRST], hold_seconds
    )
    return [outcomes[each.saga_id] for each in requests]


def unreserve(
    connection: Connection, requests: Sequence[ReservationRequest], proven: Collection[UUID] | None = None
) -> list[Reservation | DomainError]:
    """Give back what each saga holds or bought, never twice. One that has nothing has no lines, and never will.

    `RepeatedOtherwise` for a request that names another cart or other items than the saga's; `SagaStands` for what was
    sold to another saga than those of which it is `proven` that they turned back (None: all have).
    """
    undos = barrier.enter_compensation(connection, RESERVE, {each.saga_id: each.named for each in requests})
    transitions = {
        saga_id: _to_undo(undo, turned_back=proven is None or saga_id in proven)
        for saga_id, undo in undos.items()
        if isinstance(undo, CompensationEntry)
    }
    found = stock_store.change(connection, transitions)
    standing = [saga_id for saga_id, each in found.items() if each.status is ReservationStatus.COMMITTED]
    barrier.withdraw(connection, RESERVE, {saga_id: undos[saga_id] for saga_id in standing})
    outcomes: dict[UUID, Reservation | DomainError] = {}
    for saga_id, undo in undos.items():
        lines = found[saga_id].lines if saga_id in found else ()
        given_back = Reservation(lines, first=undo is not CompensationEntry.REPEATED)
        outcomes[saga_id] = undo if isinstance(undo, DomainError) else given_back
    outcomes |= {saga_id: SagaStands(saga_id, "the sale") for saga_id in standing}
    return [outcomes[each.saga_id] for each in requests]


def commit(connection: Connection, requests: Sequence[ReservationRequest]) -> list[Reservation | DomainError]:
    """Sell what each saga holds: the pivot. `ReservationNotFound`, `ReservationNotHeld`.

    `RepeatedOtherwise` for a request that names another cart or other items than the saga reserved. A hold that is over
    is released for good, which is told as `expired` once, and as `released` from then on.
    """
    wrong = barrier.contradictions(connection, RESERVE, {each.saga_id: each.named for each in requests})
    agreed = [each.saga_id for each in requests if each.saga_id not in wrong]
    found = stock_store.change(connection, dict.fromkeys(agreed, COMMIT))
    return [wrong.get(each.saga_id) or _sale(each.saga_id, found.get(each.saga_id)) for each in requests]


def cancel(connection: Connection, requests: Sequence[Cancel]) -> list[Verdict]:
    """The arbiter: the one conditional update that decides between a sale and turning back, whoever else tries.

    Asked again, or after the reservation was undone otherwise, it says again what was decided.
    """
    entries = barrier.enter_action(connection, RESERVE, {each.saga_id: {} for each in requests})
    new = [saga_id for saga_id, entry in entries.items() if entry is ActionEntry.FIRST]
    barrier.refuse(connection, RESERVE, {saga_id: cancelled(saga_id) for saga_id in new})
    found = stock_store.change(
        connection,
        {
            each.saga_id: TURN_BACK if each.only_before_pivot else TURN_BACK_SOLD
            for each in requests
            if entries[each.saga_id] is not ActionEntry.FIRST
        },
    )
    return [_verdict(entries[each.saga_id], found.get(each.saga_id)) for each in requests]


def expire_holds(connection: Connection, limit: int) -> int:
    """Return up to `limit` holds past their time to the shelves; how many. Several processes may do it at once."""
    overdue = (
        select(reservations.c.saga_id)
        .where(reservations.c.status == ReservationStatus.HELD, reservations.c.expires_at <= func.now())
        .order_by(reservations.c.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return len(stock_store.change(connection, dict.fromkeys(connection.scalars(overdue), EXPIRE)))


def seconds_to_next_expiry(connection: Connection) -> float | None:
    """Seconds until the first of the holds is over (not negative); None when nothing is held."""
    first = select(func.min(reservations.c.expires_at)).where(reservations.c.status == ReservationStatus.HELD)
    seconds = connection.scalar(select(func.extract("epoch", first.scalar_subquery() - func.now())))
    return None if seconds is None else max(0.0, float(seconds))


def reservations_of_cart(connection: Connection, cart_id: UUID) -> Sequence[Row]:
    """The lines of all reservations that a cart ever had, oldest first, each with what they have in common."""
    lines = reservation_lines.c
    statement = (
        select(reservations, lines.product_id, lines.quantity, lines.unit_price_minor)
        .join(reservation_lines)
        .where(reservations.c.cart_id == cart_id)
        .order_by(reservations.c.created_at, reservations.c.saga_id, lines.product_id)
    )
    return connection.execute(statement).mappings().all()


def _to_undo(undo: CompensationEntry, *, turned_back: bool) -> Transitions:
    """What becomes of a reservation; what was sold is undone only when its saga turned back."""
    if undo is CompensationEntry.REPEATED:
        return STAY
    return RELEASE if turned_back else RELEASE_HELD


def _hold(
    connection: Connection, requests: Sequence[Reserve], hold_seconds: float
) -> dict[UUID, Reservation | DomainError]:
    """What comes of reserves that are new."""
    if not requests:
        return {}
    shelves = stock_store.lock_shelves(connection, {product_id for each in requests for product_id in each.wanted})
    refused = allocate(requests, {product_id: shelf.available for product_id, shelf in shelves.items()})
    barrier.refuse(connection, RESERVE, refused)
    held = stock_store.hold(
        connection, [each for each in requests if each.saga_id not in refused], shelves, hold_seconds
    )
    return {**refused, **{saga_id: Reservation(lines, first=True) for saga_id, lines in held.items()}}


def _held_before(connection: Connection, requests: Sequence[Reserve]) -> dict[UUID, Reservation | DomainError]:
    """What comes of reserves that were done before."""
    found = stock_store.change(connection, {each.saga_id: STAY for each in requests})
    return {each.saga_id: _repeated(each, found[each.saga_id]) for each in requests}


def _repeated(request: Reserve, found: Changed) -> Reservation | DomainError:
    if found.status not in LIVE:
        return not_held(request.saga_id, found.status)
    return Reservation(found.lines, first=False)


def _verdict(entry: ActionEntry | DomainError, found: Changed | None) -> Verdict:
    if entry is ActionEntry.FIRST or isinstance(entry, RepeatedRefusal):
        return Verdict.RESERVE_REFUSED
    sold = found is not None and found.status is ReservationStatus.COMMITTED
    return Verdict.STANDS if sold else Verdict.TURNED_BACK


def _sale(saga_id: UUID, found: Changed | None) -> Reservation | DomainError:
    if found is None:
        return ReservationNotFound(f"nothing is reserved for saga {saga_id}", saga_id=saga_id)
    if found.status is ReservationStatus.COMMITTED:
        return Reservation(found.lines, first=found.before is ReservationStatus.HELD)
    return not_held(saga_id, found.before)
