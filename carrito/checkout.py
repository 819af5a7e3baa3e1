"""Begins a checkout: freezes the cart under a new saga id and, if choreographed, stages the first event.

Then carrito hands the checkout over to the saga's service (`handover.py`). That starts an orchestrated saga. A
choreographed saga starts with the event; the handover tells `saga_choreography` of it, which sends lost events again.
"""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection

from carrito import carts, checkout_store
from carrito.checkout_domain import (
    Checkout,
    CheckoutRequest,
    HandedOverCheckout,
    HandoverPlan,
    NewlyFrozenCart,
    StyleNotAvailable,
    no_checkout,
)
from carrito.config import Settings
from carrito.domain import total_minor
from carrito.models import outbox
from shared.batching.partition import map_accepted
from shared.errors import DomainError
from shared.event_bus import CheckoutInitiated, Event, Item
from shared.saga.repetition import contradiction


def begin(
    connection: Connection, requests: Sequence[CheckoutRequest], settings: Settings, *, by_saga_service: bool
) -> list[NewlyFrozenCart | DomainError]:
    """Freeze each cart for a new saga. Refusals: `StyleNotAvailable` and those of `carts.freeze`.

    `by_saga_service`: the request comes from the saga service of the style, which learns the saga's id from the answer.
    """
    handover = partial(_handover_plan, settings=settings, by_saga_service=by_saga_service)
    available = [_if_available(each, settings) for each in requests]
    frozen = map_accepted(available, lambda accepted: carts.freeze(connection, accepted, handover, settings.currency))
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
