"""The use cases of inventario, one function each; each runs in the caller's transaction.

The steps of sagas take one command of each of many sagas, and return an outcome for each, in the order of the commands.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from uuid import UUID

from sqlalchemy import Connection

from inventario import product_store, reservation_store, stock_store
from inventario.domain import (
    COMMIT,
    EXPIRE,
    LIVE,
    RELEASE,
    RELEASE_HELD,
    RESERVE,
    SELL,
    STAY,
    TURN_BACK,
    TURN_BACK_SOLD,
    Cancel,
    NewProduct,
    Product,
    Reservation,
    ReservationHistory,
    ReservationNotFound,
    ReservationStatus,
    Reserve,
    Ruling,
    Sell,
    SkuTaken,
    Unreserve,
    allocate,
    cancelled,
    no_product,
    not_held,
)
from inventario.models import barrier
from inventario.stock_store import ReservationChange
from shared.errors import DomainError, RepeatedRefusal
from shared.saga.barrier import BySaga, Done
from shared.saga.barrier_entries import ActionEntry
from shared.saga.repetition import contradiction
from shared.saga.standing import SagaStands


def create_product(connection: Connection, new: NewProduct) -> Product:
    """Create a product with its first stock; raises `SkuTaken`."""
    product = product_store.insert(connection, new)
    if product is None:
        raise SkuTaken(f"there is a product with sku {new.sku}", sku=new.sku)
    return product


def get_product(connection: Connection, product_id: int) -> Product:
    """Return a product; raises `ProductNotFound`."""
    product = product_store.get(connection, product_id)
    if product is None:
        raise no_product(product_id)
    return product


def list_products(connection: Connection, after: int, limit: int) -> Sequence[Product]:
    """Return up to `limit` products with ids above `after`, in the order of ids."""
    return product_store.page(connection, after, limit)


def restock(connection: Connection, product_id: int, quantity: int) -> Product:
    """Add stock to a product; raises `ProductNotFound`."""
    product = product_store.restock(connection, product_id, quantity)
    if product is None:
        raise no_product(product_id)
    return product


def reserve(
    connection: Connection, requests: Sequence[Reserve], hold_seconds: float
) -> list[Done[Reservation] | DomainError]:
    """Hold all lines of each saga, or none of them; earlier requests in the list come first.

    Refusals: `ProductNotFound`, `InsufficientStock`, `CheckoutCancelled`, `Suspended`; for a repeated request also
    `ReservationNotHeld` when the hold has ended, and `RepeatedOtherwise` when the saga reserved something else.
    """
    return barrier.once(
        connection,
        RESERVE,
        requests,
        first=partial(_hold, connection, hold_seconds),  # locks products, after `repeated` has locked reservations
        repeated=partial(_held_before, connection),
    )


def unreserve(
    connection: Connection, requests: Sequence[Unreserve], turned_back: Collection[UUID] | None = None
) -> list[Done[Reservation] | DomainError]:
    """Return the stock that each saga holds or bought, once. A saga without a reservation can't reserve from now on.

    `turned_back` names the sagas that are known to have turned back; None: all of them. Refusal: `SagaStands` for a
    sale to a saga that is not in it.
    """
    return barrier.compensate(connection, RESERVE, requests, partial(_release, connection, turned_back))


def commit(connection: Connection, requests: Sequence[Sell]) -> list[Done[Reservation] | DomainError]:
    """Sell what each saga holds: the pivot.

    Refusals: `ReservationNotFound`; `RepeatedOtherwise` for another cart, items, order or payment than the saga
    reserved, or another order than it sold for; `ReservationNotHeld`. An expired hold is released by its first commit,
    whose refusal still names it `expired`.
    """
    wrong = barrier.contradictions(connection, RESERVE, {each.saga_id: each.named for each in requests})
    sales = {each.saga_id: replace(COMMIT, order_id=each.order_id) for each in requests if each.saga_id not in wrong}
    found = stock_store.change(connection, sales)
    return [wrong.get(each.saga_id) or _sale(each, found.get(each.saga_id)) for each in requests]


def cancel(connection: Connection, requests: Sequence[Cancel]) -> list[Ruling]:
    """Decide for each saga whether it turns back. One conditional update decides between that and a sale.

    After a deadline, only a sale for an order stands: without one the saga may never get there. A repeated request, or
    one after the stock was returned otherwise, gets the same ruling.
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
    """Expire up to `limit` holds whose time is over; return how many. Several processes may do so at once."""
    overdue = reservation_store.lock_overdue(connection, limit)
    return len(stock_store.change(connection, dict.fromkeys(overdue, EXPIRE)))


def seconds_to_next_expiry(connection: Connection) -> float | None:
    """Return the seconds until the next hold expires (not negative); None when nothing is held."""
    seconds = reservation_store.seconds_to_next_expiry(connection)
    return None if seconds is None else max(0.0, seconds)


def reservations_of_cart(connection: Connection, cart_id: UUID) -> Sequence[Reservation]:
    """Return all reservations that a cart ever had, oldest first."""
    return reservation_store.of_cart(connection, cart_id)


def history_of_saga(connection: Connection, saga_id: UUID) -> ReservationHistory | None:
    """Return a saga's reservation with the times of its transitions; None if it reserved nothing."""
    return reservation_store.history(connection, saga_id)


def _hold(connection: Connection, hold_seconds: float, requests: Sequence[Reserve]) -> BySaga[Reservation]:
    shelves = stock_store.lock_shelves(connection, {product_id for each in requests for product_id in each.wanted})
    refused = allocate(requests, {product_id: shelf.available for product_id, shelf in shelves.items()})
    accepted = [each for each in requests if each.saga_id not in refused]
    return {**refused, **stock_store.hold(connection, accepted, shelves, hold_seconds)}


def _held_before(connection: Connection, requests: Sequence[Reserve]) -> BySaga[Reservation]:
    found = stock_store.change(connection, {each.saga_id: STAY for each in requests})
    return {
        saga_id: each.reservation if each.status in LIVE else not_held(saga_id, each.status)
        for saga_id, each in found.items()
    }


def _release(
    connection: Connection,
    turned_back: Collection[UUID] | None,
    first: Sequence[Unreserve],
    others: Sequence[Unreserve],
) -> BySaga[Reservation]:
    """Release what these sagas hold; release a sale only if its saga turned back."""
    found = stock_store.change(
        connection,
        {
            **{each.saga_id: STAY for each in others},
            **{
                each.saga_id: RELEASE if turned_back is None or each.saga_id in turned_back else RELEASE_HELD
                for each in first
            },
        },
    )
    return {each.saga_id: _released(each, found.get(each.saga_id)) for each in (*first, *others)}


def _released(request: Unreserve, found: ReservationChange | None) -> Reservation | DomainError:
    if found is None:
        return Reservation(request.saga_id, request.cart_id, ReservationStatus.RELEASED, None, ())
    if found.status is ReservationStatus.COMMITTED:
        return SagaStands(request.saga_id, "the sale")
    return found.reservation


def _verdict(entry: ActionEntry | DomainError, found: ReservationChange | None) -> Ruling:
    if entry is ActionEntry.FIRST or isinstance(entry, RepeatedRefusal):
        return Ruling.RESERVE_REFUSED
    sold = found is not None and found.status is ReservationStatus.COMMITTED
    return Ruling.STANDS if sold else Ruling.TURNED_BACK


def _sale(request: Sell, found: ReservationChange | None) -> Done[Reservation] | DomainError:
    saga_id = request.saga_id
    if found is None:
        return ReservationNotFound(f"nothing is reserved for saga {saga_id}", saga_id=saga_id)
    if found.status is ReservationStatus.COMMITTED:
        sold_for, named = {"order_id": found.order_id}, {"order_id": request.order_id}
        done = Done(found.reservation, first=found.before is ReservationStatus.HELD)
        return contradiction(saga_id, SELL, sold_for, named) or done
    return not_held(saga_id, found.before)
