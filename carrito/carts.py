"""The use cases of carts; each runs in the caller's transaction. Those of orders are in `service.py`."""

from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID

from sqlalchemy import Connection

from carrito import cart_store, checkout_store
from carrito.checkout_domain import (
    CartFreeze,
    CartOfAnotherSaga,
    Checkout,
    CheckoutRequest,
    HandoverPlan,
    NewlyFrozenCart,
    OrderStands,
    Release,
)
from carrito.domain import (
    Cart,
    CartStatus,
    ItemNotFound,
    Product,
    check_room,
    check_stock,
    no_cart,
    no_lines,
    not_open,
    unusable,
)
from carrito.models import barrier
from carrito.order_domain import CREATE_ORDER
from shared.batching.partition import map_accepted
from shared.errors import DomainError
from shared.ids import new_id
from shared.saga.barrier import BySaga, Done


def create_cart(connection: Connection, user_id: str) -> Cart:
    """Create an empty, open cart."""
    return cart_store.insert(connection, user_id)


def get_cart(connection: Connection, cart_id: UUID) -> Cart:
    """Return a cart with its lines; raises `CartNotFound`."""
    found = cart_store.find(connection, [cart_id])
    if cart_id not in found:
        raise no_cart(cart_id)
    return _with_lines(connection, found[cart_id])


def add_item(connection: Connection, cart_id: UUID, product: Product, quantity: int) -> Cart:
    """Add a quantity of a product to a cart, at inventario's present price.

    Raises `CartNotFound`, `CartNotOpen`, `CartFull`, and `NotEnoughStock` when the new quantity is not available.
    """
    locked = _lock_open(connection, cart_id)
    check_stock(product, cart_store.put_line(connection, cart_id, product, quantity))
    cart = _with_lines(connection, locked)
    check_room(cart.lines)
    return cart


def remove_item(connection: Connection, cart_id: UUID, product_id: int) -> Cart:
    """Remove a product from a cart; raises `CartNotFound`, `CartNotOpen`, `ItemNotFound`."""
    locked = _lock_open(connection, cart_id)
    if not cart_store.remove_line(connection, cart_id, product_id):
        raise ItemNotFound(f"product {product_id} is not in cart {cart_id}", product_id=product_id)
    return _with_lines(connection, locked)


def freeze(
    connection: Connection,
    requests: Sequence[CheckoutRequest],
    handover: Callable[[CheckoutRequest], HandoverPlan],
    currency: str,
) -> list[NewlyFrozenCart | DomainError]:
    """Freeze each cart for a new saga; no two requests name the same cart. Of concurrent ones for a cart, one succeeds.

    Refusals: `CartNotFound` (also for another user's cart), `CartNotOpen` naming the saga that has it, `CartEmpty`.
    """
    locked = cart_store.lock(connection, [each.cart_id for each in requests])  # so that no line is removed meanwhile
    refused = {
        each.cart_id: why_not
        for each in requests
        if (why_not := unusable(each.cart_id, each.user_id, locked.get(each.cart_id))) is not None
    }
    freezes = {each.cart_id: _freeze_for(each, handover(each)) for each in requests if each.cart_id not in refused}
    carts = checkout_store.freeze(connection, list(freezes.values()), currency)
    frozen = {
        cart.id: NewlyFrozenCart(cart, freezes[cart.id])
        for cart in cart_store.with_lines(connection, list(carts.values()))
    }
    return [refused.get(each.cart_id) or frozen.get(each.cart_id) or no_lines(each.cart_id) for each in requests]


def release(connection: Connection, releases: Sequence[Release]) -> list[Done[Cart] | DomainError]:
    """Open the carts of compensated sagas again. A cart that its saga no longer has is left unchanged.

    From then on `create_order` is refused for each saga. Refusals: `CartNotFound`, `CartOfAnotherSaga`, and
    `OrderStands` while the saga has an order that was not cancelled.
    """
    checkouts = checkout_store.find(connection, [each.saga_id for each in releases])
    others = [each for each in releases if not _had(each, checkouts.get(each.saga_id))]
    known = cart_store.find(connection, [each.cart_id for each in others])
    accepted = [_of_another(each, known.get(each.cart_id)) if each in others else each for each in releases]
    return map_accepted(
        accepted, lambda own: barrier.compensate(connection, CREATE_ORDER, own, partial(_release, connection))
    )


def _release(connection: Connection, first: Sequence[Release], others: Sequence[Release]) -> BySaga[Cart]:
    releases = [*first, *others]
    before = cart_store.lock(connection, [each.cart_id for each in releases])
    live = [each for each in releases if before[each.cart_id].saga_id == each.saga_id]
    after = cart_store.release(connection, live)
    standing = {
        each.saga_id: OrderStands(f"the order of saga {each.saga_id} was not cancelled", saga_id=each.saga_id)
        for each in live
        if each.cart_id not in after
    }
    carts = {each.saga_id: after.get(each.cart_id) or before[each.cart_id] for each in releases}
    return {**carts, **standing}


def _had(release: Release, checkout: Checkout | None) -> bool:
    """Whether this cart was frozen for the saga."""
    return checkout is not None and checkout.cart_id == release.cart_id


def _of_another(release: Release, cart: Cart | None) -> DomainError:
    if cart is None:
        return no_cart(release.cart_id)
    return CartOfAnotherSaga(f"saga {release.saga_id} never had cart {release.cart_id}", field="cart_id")


def _freeze_for(request: CheckoutRequest, handover: HandoverPlan) -> CartFreeze:
    """Make the freeze of a cart. It chooses the ids of payment and order, which their compensations need."""
    return CartFreeze(
        saga_id=new_id(),
        cart_id=request.cart_id,
        payment_id=new_id(),
        order_id=new_id(),
        billing_address=request.billing_address,
        saga_pattern=request.saga_pattern,
        payment_method=request.payment_method,
        trace=request.trace,
        handover_seconds=handover.seconds,
        by_saga_service=handover.by_saga_service,
    )


def _with_lines(connection: Connection, cart: Cart) -> Cart:
    [filled] = cart_store.with_lines(connection, [cart])
    return filled


def _lock_open(connection: Connection, cart_id: UUID) -> Cart:
    """Lock an open cart and mark it as used just now; raises `CartNotFound`, `CartNotOpen`."""
    cart = cart_store.lock(connection, [cart_id]).get(cart_id)
    if cart is None:
        raise no_cart(cart_id)
    if cart.status != CartStatus.OPEN:
        raise not_open(cart)
    if cart.idle_since is not None:
        cart_store.touch(connection, cart_id)
    return cart
