"""The use cases of carts, checkouts and orders; each runs in the caller's transaction.

The steps of sagas take one command of each of many sagas, and return an outcome for each, in the order of the commands.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from operator import attrgetter
from uuid import UUID

from sqlalchemy import Connection

from carrito import cart_store, checkout_store, order_store
from carrito.config import Settings
from carrito.domain import (
    CREATE_ORDER,
    Cart,
    CartFreeze,
    CartOfAnotherSaga,
    CartStatus,
    Checkout,
    CheckoutRequest,
    HandedOverCheckout,
    HandoverPlan,
    ItemNotFound,
    NewlyFrozenCart,
    Order,
    OrderAlreadyCancelled,
    OrderNotFound,
    OrderOfSaga,
    OrderRequest,
    OrderStands,
    OrderStatus,
    Product,
    Release,
    StyleNotAvailable,
    VoidOrder,
    begun_by_a_checkout,
    check_room,
    check_stock,
    differs,
    freeze_for,
    mismatch,
    no_cart,
    no_checkout,
    no_lines,
    no_order,
    not_open,
    of_another,
    other_order,
    total_minor,
    unusable,
)
from carrito.models import barrier, outbox
from shared.batching.partition import in_unique_batches, map_accepted
from shared.errors import DomainError
from shared.event_bus import CheckoutInitiated, Event, Item
from shared.ids import new_id
from shared.saga.barrier import BySaga, Done
from shared.saga.repetition import contradiction
from shared.saga.standing import SagaStands


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


def freeze_cart(
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
    freezes = {each.cart_id: _checkout_freeze(each, handover(each)) for each in requests if each.cart_id not in refused}
    carts = checkout_store.freeze(connection, list(freezes.values()), currency)
    frozen = {
        cart.id: NewlyFrozenCart(cart, freezes[cart.id])
        for cart in cart_store.with_lines(connection, list(carts.values()))
    }
    return [refused.get(each.cart_id) or frozen.get(each.cart_id) or no_lines(each.cart_id) for each in requests]


def release_cart(connection: Connection, releases: Sequence[Release]) -> list[Done[Cart] | DomainError]:
    """Open the carts of compensated sagas again. A cart that its saga no longer has is left unchanged.

    From then on `create_order` is refused for each saga. Refusals: `CartNotFound`, `CartOfAnotherSaga`, and
    `OrderStands` while the saga has an order that was not cancelled.
    """
    checkouts = checkout_store.find(connection, [each.saga_id for each in releases])
    others = [each for each in releases if not _had(each, checkouts.get(each.saga_id))]
    known = cart_store.find(connection, [each.cart_id for each in others])
    accepted = [_cart_of_another_saga(each, known.get(each.cart_id)) if each in others else each for each in releases]
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


def _cart_of_another_saga(release: Release, cart: Cart | None) -> DomainError:
    if cart is None:
        return no_cart(release.cart_id)
    return CartOfAnotherSaga(f"saga {release.saga_id} never had cart {release.cart_id}", field="cart_id")


def _checkout_freeze(request: CheckoutRequest, handover: HandoverPlan) -> CartFreeze:
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


def begin_checkout(
    connection: Connection, requests: Sequence[CheckoutRequest], settings: Settings, *, by_saga_service: bool
) -> list[NewlyFrozenCart | DomainError]:
    """Freeze each cart for a new saga. Refusals: `StyleNotAvailable` and those of `freeze_cart`.

    `by_saga_service`: the request comes from the saga service of the style, which learns the saga's id from the answer.
    """
    handover = partial(_handover_plan, settings=settings, by_saga_service=by_saga_service)
    available = [_if_available(each, settings) for each in requests]
    frozen = map_accepted(available, lambda accepted: freeze_cart(connection, accepted, handover, settings.currency))
    events = [
        Event(_initiated(cart, settings.currency), trace=cart.freeze.trace)
        for cart in frozen
        if isinstance(cart, NewlyFrozenCart) and cart.freeze.saga_pattern == "choreographed"
    ]
    if events:
        outbox.stage(connection, events)
    return frozen


def find_begun(connection: Connection, handed_over: Sequence[HandedOverCheckout]) -> list[Checkout | DomainError]:
    """Return for each what was frozen for its saga.

    Refusals: `CheckoutNotFound`, and `RepeatedOtherwise` naming a field that differs.
    """
    found = checkout_store.find(connection, [each.saga_id for each in handed_over])
    return [_if_same(each, found.get(each.saga_id)) for each in handed_over]


def _if_same(handed_over: HandedOverCheckout, checkout: Checkout | None) -> Checkout | DomainError:
    saga_id = handed_over.saga_id
    if checkout is None:
        return no_checkout(saga_id)
    return contradiction(saga_id, "the checkout", checkout.named, handed_over.request.named) or checkout


def _if_available(request: CheckoutRequest, settings: Settings) -> CheckoutRequest | DomainError:
    if request.saga_pattern == "choreographed" and settings.rabbitmq_url is None:
        why = "choreographed checkouts need a broker: RABBITMQ_URL is not set"
        return StyleNotAvailable(why, saga_pattern=request.saga_pattern)
    return request


def _handover_plan(request: CheckoutRequest, settings: Settings, *, by_saga_service: bool) -> HandoverPlan:
    """A choreographed saga runs by its events, so its service, once it began it, need not hear of it again."""
    is_known = request.saga_pattern == "choreographed" and by_saga_service
    return HandoverPlan(None if is_known else settings.handover_seconds, by_saga_service)


def _initiated(frozen: NewlyFrozenCart, currency: str) -> CheckoutInitiated:
    cart = frozen.cart
    return CheckoutInitiated(
        saga_id=frozen.freeze.saga_id,
        cart_id=cart.id,
        user_id=cart.user_id,
        payment_method=frozen.freeze.payment_method,
        payment_id=frozen.freeze.payment_id,
        order_id=frozen.freeze.order_id,
        total_minor=total_minor(cart.lines),
        currency=currency,
        items=tuple(Item(product_id=line.product_id, quantity=line.quantity) for line in cart.lines),
    )


def create_order(
    connection: Connection, requests: Sequence[OrderRequest], currency: str
) -> list[Done[Order] | DomainError]:
    """Create each saga's pending order from its checkout; without a checkout, freeze the open cart for it.

    Refusals: `RepeatedOtherwise` for a request that differs from the saga's checkout (the paid amount included) or from
    its first request; `Suspended`, `CartNotFound` (also for another user's cart), `CartNotOpen` naming the saga that
    has it, `CartEmpty`, and `OrderOfAnotherSaga` for an order id that is taken.
    """
    checkouts = checkout_store.find(connection, [each.saga_id for each in requests])
    return map_accepted(
        [differs(each, checkouts.get(each.saga_id)) or each for each in requests],
        lambda accepted: barrier.once(
            connection,
            CREATE_ORDER,
            accepted,
            first=partial(_create, connection, checkouts, currency),
            repeated=partial(_created_before, connection),
        ),
    )


def confirm_order(connection: Connection, commands: Sequence[OrderOfSaga]) -> list[Done[Order] | DomainError]:
    """Confirm each saga's pending order and check its cart out, in one commit; a confirmed order stays confirmed.

    Refusals: `OrderNotFound`, `OrderOfAnotherSaga`, `OrderAlreadyCancelled`; `RepeatedOtherwise` for another cart.
    """
    confirmed = order_store.confirm(connection, commands)
    pending = [each for each in commands if each.saga_id not in confirmed]
    found = order_store.find(connection, [each.saga_id for each in pending], [each.order_id for each in pending])
    return [
        Done(confirmed[each.saga_id], first=True) if each.saga_id in confirmed else _not_confirmed(each, found)
        for each in commands
    ]


def cancel_order(
    connection: Connection, commands: Sequence[OrderOfSaga], turned_back: Collection[UUID] | None = None
) -> list[Done[Order | VoidOrder] | DomainError]:
    """Compensate `create_order`: cancel each saga's order, also a confirmed one. The cart stays with the saga.

    A saga without an order gets a void one, and its `create_order` is refused from now on. `turned_back` has the sagas
    that are known to have turned back; None: all of them.

    Refusals: `OrderOfAnotherSaga`; `RepeatedOtherwise` when the saga's checkout has another cart or order; `SagaStands`
    for the order of a checkout whose saga is not in `turned_back`.
    """
    checkouts = checkout_store.find(connection, [each.saga_id for each in commands])
    agreeing = [other_order(each, checkouts.get(each.saga_id)) or each for each in commands]
    cancel = partial(_cancel, connection, checkouts, turned_back)

    def compensate(accepted: Sequence[OrderOfSaga]) -> list[Done[Order | VoidOrder] | DomainError]:
        return barrier.compensate(connection, CREATE_ORDER, accepted, cancel)

    return map_accepted(agreeing, compensate)


def get_checkout(connection: Connection, saga_id: UUID) -> Checkout:
    """Return the checkout of a saga; raises `CheckoutNotFound`."""
    found = checkout_store.find(connection, [saga_id])
    if saga_id not in found:
        raise no_checkout(saga_id)
    return found[saga_id]


def order_is_gone(connection: Connection, saga_id: UUID) -> bool:
    """Whether a saga has no order and can't get one: it was cancelled, or its creation is refused from now on."""
    for order in order_store.find(connection, [saga_id], []):
        return order.status == OrderStatus.CANCELLED
    return barrier.closed(connection, CREATE_ORDER, saga_id)


def get_order(connection: Connection, order_id: UUID) -> Order:
    """Return an order; raises `OrderNotFound`."""
    for order in order_store.find(connection, [], [order_id]):
        return order
    raise no_order(order_id)


def orders_of_cart(connection: Connection, cart_id: UUID) -> Sequence[Order]:
    """Return all orders that a cart ever had, oldest first."""
    return order_store.of_cart(connection, cart_id)


def sagas_of(connection: Connection, order_ids: Sequence[UUID]) -> dict[UUID, UUID | DomainError]:
    """Return the saga of each order, or `OrderNotFound`."""
    found = {order.id: order.saga_id for order in order_store.find(connection, [], order_ids)}
    return {order_id: found.get(order_id) or no_order(order_id) for order_id in order_ids}


def _created_before(connection: Connection, requests: Sequence[OrderRequest]) -> BySaga[Order]:
    return {order.saga_id: order for order in order_store.find(connection, [each.saga_id for each in requests], [])}


def _create(
    connection: Connection, checkouts: Mapping[UUID, Checkout], currency: str, requests: Sequence[OrderRequest]
) -> BySaga[Order]:
    frozen = [each for each in requests if each.saga_id in checkouts]
    placed = order_store.place(connection, frozen)
    outcomes: dict[UUID, Order | DomainError] = {
        each.saga_id: placed.get(each.saga_id) or of_another(each.order_id) for each in frozen
    }
    unknown = [each for each in requests if each.saga_id not in checkouts]
    create = partial(_create_without_checkout, connection, currency=currency)
    created = in_unique_batches(unknown, attrgetter("cart_id"), create)
    return outcomes | dict(zip((each.saga_id for each in unknown), created, strict=True))


def _create_without_checkout(
    connection: Connection, requests: Sequence[OrderRequest], currency: str
) -> list[Order | DomainError]:
    """Freeze an open cart for each request and place its order. Each names another cart; a refusal changes nothing."""
    locked = cart_store.lock(connection, [each.cart_id for each in requests])
    refused = {
        each.saga_id: why_not
        for each in requests
        if (why_not := unusable(each.cart_id, each.user_id, locked.get(each.cart_id))) is not None
    }
    usable = [each for each in requests if each.saga_id not in refused]
    frozen = checkout_store.freeze(connection, [freeze_for(each) for each in usable], currency)
    refused |= {each.saga_id: no_lines(each.cart_id) for each in usable if each.cart_id not in frozen}
    full = [each for each in usable if each.saga_id not in refused]
    placed = order_store.place(connection, full)
    taken = [each for each in full if each.saga_id not in placed]
    checkout_store.unfreeze(connection, [each.saga_id for each in taken])
    refused |= {each.saga_id: of_another(each.order_id) for each in taken}
    return [refused.get(each.saga_id) or placed[each.saga_id] for each in requests]


def _not_confirmed(command: OrderOfSaga, found: Sequence[Order]) -> Done[Order] | DomainError:
    by_saga, by_id = {order.saga_id: order for order in found}, {order.id: order for order in found}
    order = by_saga.get(command.saga_id) if command.order_id is None else by_id.get(command.order_id)
    if order is None:
        what = f"of saga {command.saga_id}" if command.order_id is None else str(command.order_id)
        return OrderNotFound(f"there is no order {what}", saga_id=command.saga_id)
    wrong = mismatch(command, [order])
    if wrong is not None:
        return wrong
    if order.status == OrderStatus.CONFIRMED:
        return Done(order, first=False)
    return OrderAlreadyCancelled(f"order {order.id} was cancelled", order_id=order.id)


def _cancel(
    connection: Connection,
    checkouts: Mapping[UUID, Checkout],
    turned_back: Collection[UUID] | None,
    first: Sequence[OrderOfSaga],
    others: Sequence[OrderOfSaga],
) -> BySaga[Order | VoidOrder]:
    begun = [each.saga_id for each in first if begun_by_a_checkout(checkouts.get(each.saga_id))]
    unproven = [] if turned_back is None else [saga_id for saga_id in begun if saga_id not in turned_back]
    standing = {
        order.saga_id: SagaStands(order.saga_id, "the order")
        for order in order_store.find(connection, unproven, [])
        if order.status != OrderStatus.CANCELLED
    }
    cancelled = order_store.cancel(connection, [each for each in first if each.saga_id not in standing])
    unchanged = [each for each in (*first, *others) if each.saga_id not in standing and each.saga_id not in cancelled]
    return {**standing, **cancelled, **_nothing_cancelled(connection, unchanged)}


def _nothing_cancelled(connection: Connection, commands: Sequence[OrderOfSaga]) -> BySaga[Order | VoidOrder]:
    """The outcomes of cancellations that changed nothing: void orders, orders cancelled before, or refusals."""
    found = order_store.find(connection, [each.saga_id for each in commands], [each.order_id for each in commands])
    outcomes: dict[UUID, Order | VoidOrder | DomainError] = {}
    for each in commands:
        own = next((order for order in found if order.saga_id == each.saga_id), None)
        concerned = [order for order in found if order is own or order.id == each.order_id]
        outcomes[each.saga_id] = mismatch(each, concerned) or own or VoidOrder(each.saga_id, each.order_id)
    return outcomes
