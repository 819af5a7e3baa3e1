"""The use cases of carts; every one runs inside the caller's transaction."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import (
    Connection,
    delete,
    func,
    insert,
    null,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from carrito.domain import (
    Beginning,
    CartEmpty,
    CartNotFound,
    CartStatus,
    ItemNotFound,
    OrderStands,
    Product,
    Release,
    check_room,
    check_stock,
    not_open,
)
from carrito.models import cart_items, carts
from shared.db import Row
from shared.errors import DomainError
from shared.ids import new_id
from shared.json_codec import dumps
from shared.prepared import prepared
from shared.wakeup import notify

HANDOVER = "handover"  # the channel that wakes the worker


@dataclass(frozen=True)
class Cart:
    """A cart and its lines, in the order of product ids."""

    row: Row
    items: Sequence[Row]


_LOCK = prepared("SELECT * FROM carts WHERE id = ANY(CAST(:cart_ids AS uuid[])) ORDER BY id FOR NO KEY UPDATE")
_LINES = prepared("SELECT * FROM cart_items WHERE cart_id = ANY(CAST(:cart_ids AS uuid[])) ORDER BY product_id")
_BEGIN = prepared("""
    UPDATE carts
    SET status = 'checking_out', saga_id = asked.saga_id, wish = asked.wish,
        handover_due_at = now() + make_interval(secs => asked.handover_seconds)
    FROM unnest(
        CAST(:cart_ids AS uuid[]), CAST(:saga_ids AS uuid[]), CAST(:wishes AS json[]),
        CAST(:handover_seconds AS double precision[])
    ) AS asked (cart_id, saga_id, wish, handover_seconds)
    WHERE carts.id = asked.cart_id AND EXISTS (SELECT FROM cart_items WHERE cart_items.cart_id = asked.cart_id)
    RETURNING carts.*
""")
_FREEZE = prepared("""
    UPDATE carts SET status = 'checking_out', saga_id = asked.saga_id
    FROM unnest(CAST(:cart_ids AS uuid[]), CAST(:saga_ids AS uuid[])) AS asked (cart_id, saga_id)
    WHERE carts.id = asked.cart_id AND status = 'open'
""")
_RELEASE = prepared("""
    UPDATE carts SET status = 'open', saga_id = NULL, wish = NULL, handover_due_at = NULL
    FROM unnest(CAST(:cart_ids AS uuid[]), CAST(:saga_ids AS uuid[])) AS asked (cart_id, saga_id)
    WHERE carts.id = asked.cart_id AND carts.saga_id = asked.saga_id AND NOT EXISTS (
        SELECT FROM orders WHERE orders.saga_id = asked.saga_id AND orders.status <> 'cancelled'
    )
    RETURNING carts.*
""")


def create_cart(uow: Connection, user_id: str) -> Cart:
    """An empty, open cart."""
    row = uow.execute(insert(carts).values(id=new_id(), user_id=user_id).returning(carts)).mappings().one()
    return Cart(row, [])


def get_cart(uow: Connection, cart_id: UUID) -> Cart:
    """One cart; raises `CartNotFound`."""
    row = uow.execute(select(carts).where(carts.c.id == cart_id)).mappings().first()
    if row is None:
        raise CartNotFound(f"there is no cart {cart_id}", cart_id=cart_id)
    return _with_items(uow, row)


def add_item(uow: Connection, cart_id: UUID, product: Product, quantity: int) -> Cart:
    """Put so many more of a product in, at inventario's present price.

    Raises `CartNotFound`, `CartNotOpen`, `CartFull`, and `NotEnoughStock` for what the cart would hold then.
    """
    row = _locked_open(uow, cart_id)
    line = {"name": product.name, "unit_price_minor": product.price_minor}
    put = upsert(cart_items).values(cart_id=cart_id, product_id=product.product_id, quantity=quantity, **line)
    wanted = uow.scalar(
        put.on_conflict_do_update(
            index_elements=["cart_id", "product_id"], set_={**line, "quantity": cart_items.c.quantity + quantity}
        ).returning(cart_items.c.quantity)
    )
    check_stock(product, wanted or 0)
    cart = _with_items(uow, row)
    check_room(cart.items)
    return cart


def remove_item(uow: Connection, cart_id: UUID, product_id: int) -> Cart:
    """Take a product out; raises `CartNotFound`, `CartNotOpen`, `ItemNotFound`."""
    row = _locked_open(uow, cart_id)
    line = delete(cart_items).where(cart_items.c.cart_id == cart_id, cart_items.c.product_id == product_id)
    if uow.execute(line).rowcount == 0:
        raise ItemNotFound(f"product {product_id} is not in cart {cart_id}", product_id=product_id)
    return _with_items(uow, row)


def begin_checkout(uow: Connection, asked: Sequence[Beginning]) -> list[Cart | DomainError]:
    """Freeze each cart for a new saga: of many at once, one. Every cart comes once.

    Refusals: `CartNotFound` (also for another user's cart), `CartNotOpen` naming the saga that has it, `CartEmpty`.
    """
    before = lock(uow, [each.cart_id for each in asked])  # so that nothing is taken out of it meanwhile
    fit = [each for each in asked if not _why_not(each, before.get(each.cart_id))]
    values = {
        "cart_ids": [each.cart_id for each in fit],
        "saga_ids": [new_id() for _ in fit],
        "wishes": [dumps(asdict(each.wish)) for each in fit],
        "handover_seconds": [each.handover_seconds for each in fit],
    }
    frozen = {row["id"]: row for row in uow.execute(_BEGIN, values).mappings()} if fit else {}
    begun = {cart.row["id"]: cart for cart in with_items(uow, list(frozen.values()))}
    return [begun.get(each.cart_id) or _not_begun(each, before.get(each.cart_id)) for each in asked]


def hand_over_now(uow: Connection, cart_id: UUID) -> None:
    """Have the worker hand the checkout over as soon as this transaction commits."""
    uow.execute(update(carts).where(carts.c.id == cart_id).values(handover_due_at=func.now()))
    notify(uow, HANDOVER)


def lock(uow: Connection, cart_ids: Sequence[UUID]) -> dict[UUID, Row]:
    """The carts with these ids; until this transaction ends nobody else changes them or what is in them."""
    locked = uow.execute(_LOCK, {"cart_ids": list(cart_ids)}).mappings()
    return {row["id"]: row for row in locked}


def freeze(uow: Connection, sagas: Mapping[UUID, UUID]) -> None:
    """Give these carts, by id, to their sagas; they are open, and locked."""
    uow.execute(_FREEZE, {"cart_ids": list(sagas), "saga_ids": list(sagas.values())})


def empty_ones(uow: Connection, cart_ids: Sequence[UUID]) -> set[UUID]:
    """Which of these carts have nothing in them."""
    lines = uow.execute(_LINES, {"cart_ids": list(cart_ids)}).mappings() if cart_ids else ()
    return set(cart_ids) - {line["cart_id"] for line in lines}


def release(uow: Connection, releases: Sequence[Release]) -> list[Row | DomainError]:
    """The sagas are compensated: their carts are open again. One that isn't its saga's (any more) stays as it is.

    Refusals: `CartNotFound`, and `OrderStands` while the saga has an order that was not cancelled.
    """
    before = lock(uow, [each.cart_id for each in releases])  # so that no order comes to be meanwhile
    own = [each for each in releases if each.cart_id in before and before[each.cart_id]["saga_id"] == each.saga_id]
    ids = {"cart_ids": [each.cart_id for each in own], "saga_ids": [each.saga_id for each in own]}
    after = {row["id"]: row for row in uow.execute(_RELEASE, ids).mappings()} if own else {}
    return [_released(each, before.get(each.cart_id), after.get(each.cart_id)) for each in releases]


def with_items(uow: Connection, rows: Sequence[Row]) -> list[Cart]:
    """These carts with their lines."""
    lines = defaultdict[UUID, list[Row]](list)
    for line in uow.execute(_LINES, {"cart_ids": [row["id"] for row in rows]}).mappings():
        lines[line["cart_id"]].append(line)
    return [Cart(row, lines[row["id"]]) for row in rows]


def take_overdue(uow: Connection, limit: int, again_seconds: float) -> Sequence[Row]:
    """Carts whose saga may not have been told yet; each is due again later. Several processes may do it at once."""
    overdue = (
        select(carts.c.id)
        .where(carts.c.handover_due_at <= func.now())
        .order_by(carts.c.handover_due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("overdue")
    )
    statement = (
        update(carts)
        .where(carts.c.id == overdue.c.id)
        .values(handover_due_at=func.now() + timedelta(seconds=again_seconds))
        .returning(carts)
    )
    return uow.execute(statement).mappings().all()


def handed_over(uow: Connection, cart_id: UUID, saga_id: UUID) -> None:
    """The saga has been heard of: there is nothing left to hand over."""
    uow.execute(update(carts).where(carts.c.id == cart_id, carts.c.saga_id == saga_id).values(handover_due_at=null()))


def seconds_to_next_overdue(uow: Connection) -> float | None:
    """Seconds until the first handover is overdue (not negative); None when none is awaited."""
    first = select(func.min(carts.c.handover_due_at)).scalar_subquery()
    seconds = uow.scalar(select(func.extract("epoch", first - func.now())))
    return None if seconds is None else max(0.0, float(seconds))


def _released(asked: Release, before: Row | None, after: Row | None) -> Row | DomainError:
    if before is None:
        return CartNotFound(f"there is no cart {asked.cart_id}", cart_id=asked.cart_id)
    if after is None and before["saga_id"] == asked.saga_id:
        return OrderStands(f"the order of saga {asked.saga_id} was not cancelled", saga_id=asked.saga_id)
    return after or before


def _with_items(uow: Connection, row: Row) -> Cart:
    [cart] = with_items(uow, [row])
    return cart


def _locked_open(uow: Connection, cart_id: UUID) -> Row:
    row = lock(uow, [cart_id]).get(cart_id)
    if row is None:
        raise CartNotFound(f"there is no cart {cart_id}", cart_id=cart_id)
    if row["status"] != CartStatus.OPEN:
        raise not_open(cart_id, row["status"], row["saga_id"])
    return row


def _why_not(asked: Beginning, row: Row | None) -> DomainError | None:
    """Why a cart can't be frozen, as far as its row tells."""
    if row is None:
        return CartNotFound(f"there is no cart {asked.cart_id}", cart_id=asked.cart_id)
    if row["user_id"] != asked.user_id:
        return CartNotFound(f"user {asked.user_id} has no cart {asked.cart_id}", cart_id=asked.cart_id)
    if row["status"] != CartStatus.OPEN:
        return not_open(asked.cart_id, row["status"], row["saga_id"])
    return None


def _not_begun(asked: Beginning, row: Row | None) -> DomainError:
    return _why_not(asked, row) or CartEmpty(f"cart {asked.cart_id} is empty", cart_id=asked.cart_id)
