"""The use cases of carts; every one runs inside the caller's transaction."""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from carrito import checkout_store
from carrito.domain import (
    CREATE_ORDER,
    CartFreeze,
    CartNotFound,
    CartOfAnotherSaga,
    CartStatus,
    CheckoutRequest,
    ItemNotFound,
    OrderStands,
    Product,
    Release,
    check_room,
    check_stock,
    no_lines,
    not_open,
)
from carrito.models import barrier, cart_items, carts
from shared.database.connections import Row
from shared.database.prepared import columns_of, prepared
from shared.errors import DomainError
from shared.ids import new_id


@dataclass(frozen=True)
class Cart:
    """A cart and its lines, in the order of product ids."""

    row: Row
    items: Sequence[Row]


@dataclass(frozen=True)
class FrozenCart(Cart):
    """A cart that was frozen just now, and for what."""

    freeze: CartFreeze


_LOCK = prepared(f"""
    SELECT {columns_of(carts)} FROM carts WHERE id = ANY(CAST(:cart_ids AS uuid[])) ORDER BY id FOR NO KEY UPDATE
""")  # noqa: S608  (our own)
_LINES = prepared(f"""
    SELECT {columns_of(cart_items)} FROM cart_items WHERE cart_id = ANY(CAST(:cart_ids AS uuid[])) ORDER BY product_id
""")  # noqa: S608  (our own)
_RELEASE = prepared(f"""
    UPDATE carts SET status = 'open', saga_id = NULL
    FROM unnest(CAST(:cart_ids AS uuid[]), CAST(:saga_ids AS uuid[])) AS compensated (cart_id, saga_id)
    WHERE carts.id = compensated.cart_id AND carts.saga_id = compensated.saga_id AND NOT EXISTS (
        SELECT FROM orders WHERE orders.saga_id = compensated.saga_id AND orders.status <> 'cancelled'
    )
    RETURNING {columns_of(carts)}
""")  # noqa: S608  (our own)


def create_cart(connection: Connection, user_id: str) -> Cart:
    """An empty, open cart."""
    row = connection.execute(insert(carts).values(id=new_id(), user_id=user_id).returning(carts)).mappings().one()
    return Cart(row, [])


def get_cart(connection: Connection, cart_id: UUID) -> Cart:
    """One cart; raises `CartNotFound`."""
    row = connection.execute(select(carts).where(carts.c.id == cart_id)).mappings().first()
    if row is None:
        raise CartNotFound(f"there is no cart {cart_id}", cart_id=cart_id)
    return _with_items(connection, row)


def add_item(connection: Connection, cart_id: UUID, product: Product, quantity: int) -> Cart:
    """Put so many more of a product in, at inventario's present price.

    Raises `CartNotFound`, `CartNotOpen`, `CartFull`, and `NotEnoughStock` for what the cart would hold then.
    """
    row = _touched(connection, cart_id)
    line = {"name": product.name, "unit_price_minor": product.price_minor}
    put = upsert(cart_items).values(cart_id=cart_id, product_id=product.product_id, quantity=quantity, **line)
    wanted = connection.scalar(
        put.on_conflict_do_update(
            index_elements=["cart_id", "product_id"], set_={**line, "quantity": cart_items.c.quantity + quantity}
        ).returning(cart_items.c.quantity)
    )
    check_stock(product, wanted or 0)
    cart = _with_items(connection, row)
    check_room(cart.items)
    return cart


def remove_item(connection: Connection, cart_id: UUID, product_id: int) -> Cart:
    """Take a product out; raises `CartNotFound`, `CartNotOpen`, `ItemNotFound`."""
    row = _touched(connection, cart_id)
    line = delete(cart_items).where(cart_items.c.cart_id == cart_id, cart_items.c.product_id == product_id)
    if connection.execute(line).rowcount == 0:
        raise ItemNotFound(f"product {product_id} is not in cart {cart_id}", product_id=product_id)
    return _with_items(connection, row)


def freeze(
    connection: Connection,
    requests: Sequence[CheckoutRequest],
    handover_seconds: Callable[[CheckoutRequest], float | None],
    currency: str,
) -> list[FrozenCart | DomainError]:
    """Freeze each cart for a new saga; each cart is named once. Of concurrent requests for one cart, one succeeds.

    Refusals: `CartNotFound` (also for another user's cart), `CartNotOpen` naming the saga that has it, `CartEmpty`.
    """
    locked = lock(connection, [each.cart_id for each in requests])  # so that nothing is taken out of it meanwhile
    freezes = {
        each.cart_id: _freeze_for(each, handover_seconds(each))
        for each in requests
        if _why_not(each, locked.get(each.cart_id)) is None
    }
    frozen = checkout_store.freeze(connection, list(freezes.values()), currency)
    carts_by_id = {
        cart.row["id"]: FrozenCart(cart.row, cart.items, freezes[cart.row["id"]])
        for cart in with_items(connection, list(frozen.values()))
    }
    return [
        carts_by_id.get(each.cart_id) or _why_not(each, locked.get(each.cart_id)) or no_lines(each.cart_id)
        for each in requests
    ]


def lock(connection: Connection, cart_ids: Sequence[UUID]) -> dict[UUID, Row]:
    """The carts with these ids; until this transaction ends nobody else changes them or what is in them."""
    locked = connection.execute(_LOCK, {"cart_ids": list(cart_ids)}).mappings()
    return {row["id"]: row for row in locked}


def release(connection: Connection, releases: Sequence[Release]) -> list[Row | DomainError]:
    """Open the carts of compensated sagas again. A cart that its saga does not have any more stays as it is.

    In the same transaction each saga's order is kept from ever being made. Refusals: `CartNotFound`,
    `CartOfAnotherSaga`, and `OrderStands` while the saga has an order that was not cancelled.
    """
    about = checkout_store.find(connection, [each.saga_id for each in releases])
    own = {each for each in releases if each.saga_id in about and about[each.saga_id]["cart_id"] == each.cart_id}
    entries = barrier.enter_compensation(connection, CREATE_ORDER, {each.saga_id: {} for each in own})
    before = lock(connection, [each.cart_id for each in releases])
    live = [each for each in own if before[each.cart_id]["saga_id"] == each.saga_id]
    ids = {"cart_ids": [each.cart_id for each in live], "saga_ids": [each.saga_id for each in live]}
    after = {row["id"]: row for row in connection.execute(_RELEASE, ids).mappings()} if live else {}
    standing = {each.saga_id for each in live if each.cart_id not in after}
    barrier.withdraw(connection, CREATE_ORDER, {saga_id: entries[saga_id] for saga_id in standing})
    return [
        _refused_release(each, each in own, before.get(each.cart_id), standing)
        or after.get(each.cart_id)
        or before[each.cart_id]
        for each in releases
    ]


def with_items(connection: Connection, rows: Sequence[Row]) -> list[Cart]:
    """These carts with their lines."""
    lines = defaultdict[UUID, list[Row]](list)
    for line in connection.execute(_LINES, {"cart_ids": [row["id"] for row in rows]}).mappings():
        lines[line["cart_id"]].append(line)
    return [Cart(row, lines[row["id"]]) for row in rows]


def _refused_release(release: Release, own: bool, cart: Row | None, standing: Collection[UUID]) -> DomainError | None:
    if cart is None:
        return CartNotFound(f"there is no cart {release.cart_id}", cart_id=release.cart_id)
    if not own:
        return CartOfAnotherSaga(f"saga {release.saga_id} never had cart {release.cart_id}", field="cart_id")
    if release.saga_id in standing:
        return OrderStands(f"the order of saga {release.saga_id} was not cancelled", saga_id=release.saga_id)
    return None


def _freeze_for(request: CheckoutRequest, handover_seconds: float | None) -> CartFreeze:
    """Chooses the ids of payment and order now, so that each can be compensated although its answer was lost."""
    return CartFreeze(
        saga_id=new_id(),
        cart_id=request.cart_id,
        payment_id=new_id(),
        order_id=new_id(),
        billing_address=request.billing_address,
        saga_pattern=request.saga_pattern,
        payment_method=request.payment_method,
        trace=request.trace,
        handover_seconds=handover_seconds,
    )


def _with_items(connection: Connection, row: Row) -> Cart:
    [cart] = with_items(connection, [row])
    return cart


def _touched(connection: Connection, cart_id: UUID) -> Row:
    """The open cart, locked; it is not abandoned yet."""
    row = _locked_open(connection, cart_id)
    if row["idle_since"] is not None:
        connection.execute(update(carts).where(carts.c.id == cart_id).values(idle_since=func.now()))
    return row


def _locked_open(connection: Connection, cart_id: UUID) -> Row:
    row = lock(connection, [cart_id]).get(cart_id)
    if row is None:
        raise CartNotFound(f"there is no cart {cart_id}", cart_id=cart_id)
    if row["status"] != CartStatus.OPEN:
        raise not_open(cart_id, row["status"], row["saga_id"])
    return row


def _why_not(request: CheckoutRequest, row: Row | None) -> DomainError | None:
    """Why a cart can't be frozen, as far as its row tells."""
    if row is None:
        return CartNotFound(f"there is no cart {request.cart_id}", cart_id=request.cart_id)
    if row["user_id"] != request.user_id:
        return CartNotFound(f"user {request.user_id} has no cart {request.cart_id}", cart_id=request.cart_id)
    if row["status"] != CartStatus.OPEN:
        return not_open(request.cart_id, row["status"], row["saga_id"])
    return None
