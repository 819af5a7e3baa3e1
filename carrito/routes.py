"""carrito over HTTP: parse, call the use case, shape the answer."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from flask import Response, current_app, g, request
from flask_openapi import APIBlueprint
from pydantic import RootModel
from sqlalchemy import Connection

from carrito import checkout_store, service
from carrito.config import Settings
from carrito.domain import CheckoutHandover
from carrito.handover import Handover
from carrito.inventario_client import InventarioClient
from carrito.models import db
from carrito.schemas import (
    NO_CART,
    NO_ORDER,
    NO_STYLE,
    NOT_CHECKED_OUT,
    CartCheckoutIn,
    CartIn,
    CartOut,
    CartPath,
    CheckoutDetailsOut,
    CheckoutOut,
    ItemIn,
    ItemPath,
    OrderOut,
    OrderPath,
    OrdersOut,
    SagaPath,
    StandingOut,
)
from shared.batching.coalescer import Coalescer
from shared.batching.policy import BatchPolicy
from shared.fault_switches.header import current_fault
from shared.http import tracing
from shared.http.access import public, services_only
from shared.http.answers import Answer, respond, value_or_raise
from shared.http.idempotency import Served, answer_once, answered_before, serve_once
from shared.http.openapi import begins_saga, idempotent, problem
from shared.trace import traceparent

routes = APIBlueprint("carrito", __name__)


class StartedOut(RootModel[CheckoutOut | dict[str, Any]]):
    """The accepted checkout, or, after a wait, the saga."""


@routes.post("/carts", summary="Open a cart", responses={201: CartOut}, openapi_extensions=idempotent())
@public
def create_cart(body: CartIn) -> Response:
    """The cart is empty and belongs to the user."""
    return answer_once(db, lambda connection: Answer(CartOut.of(service.create_cart(connection, body.user_id)), 201))


@routes.get("/carts/<cart_id>", summary="Read a cart", responses={200: CartOut, 404: NO_CART})
@public
def get_cart(path: CartPath) -> Response:
    """The cart with its lines and their total."""
    with db.transaction() as connection:
        return respond(Answer(CartOut.of(service.get_cart(connection, path.cart_id))))


@routes.post(
    "/carts/<cart_id>/items",
    summary="Add a product to a cart",
    responses={
        201: CartOut,
        404: problem("No such cart or product"),
        409: problem("Not enough stock, or the cart is not open or full"),
        504: problem("No answer from inventario in time"),
    },
    openapi_extensions=idempotent(),
)
@public
def add_item(path: CartPath, body: ItemIn) -> Response:
    """The price is inventario's. The quantity is added to what the cart has of the product."""
    before = answered_before(db)
    if before is not None:
        return before
    inventario: InventarioClient = current_app.extensions["inventario_client"]
    product = inventario.get_product(body.product_id)  # before a connection to the database is taken

    def put_in(connection: Connection) -> Answer:
        return Answer(CartOut.of(service.add_item(connection, path.cart_id, product, body.quantity)), 201)

    return answer_once(db, put_in)


@routes.delete(
    "/carts/<cart_id>/items/<product_id>",
    summary="Remove a product from a cart",
    responses={
        200: CartOut,
        404: problem("No such cart, or it does not have the product"),
        409: problem("The cart is not open"),
    },
)
@public
def remove_item(path: ItemPath) -> Response:
    """The whole quantity is removed."""
    with db.transaction() as connection:
        return respond(Answer(CartOut.of(service.remove_item(connection, path.cart_id, path.product_id))))


@routes.get(
    "/checkouts/<saga_id>",
    summary="Read the checkout of a saga",
    responses={200: CheckoutDetailsOut, 404: problem("No cart was ever frozen for this saga")},
)
@services_only
def get_checkout(path: SagaPath) -> Response:
    """For the saga services: cart, lines, total, user and payment method, fixed when the checkout began."""
    with db.transaction() as connection:
        return respond(Answer(CheckoutDetailsOut.of(service.get_checkout(connection, path.saga_id))))


@routes.get(
    "/checkouts/<saga_id>/standing",
    summary="Read whether a saga stands",
    responses={200: StandingOut, 404: problem("No cart was ever frozen for this saga")},
)
@services_only
def get_standing(path: SagaPath) -> Response:
    """For participants, before they compensate a step. A saga stands until it turns back or its order is cancelled.

    Once a saga does not stand, it never stands again.
    """
    handover: Handover = current_app.extensions["handover"]
    with db.transaction() as connection:
        checkout = service.get_checkout(connection, path.saga_id)
        gone = service.order_is_gone(connection, path.saga_id)
    stands = not gone and not handover.has_turned_back(checkout)
    return respond(Answer(StandingOut(saga_id=path.saga_id, stands=stands)))


@routes.post(
    "/checkout/saga",
    summary="Check a cart out, in either style",
    responses={
        200: StartedOut,
        202: CheckoutOut,
        404: NO_CART,
        409: NOT_CHECKED_OUT,
        501: NO_STYLE,
    },
    openapi_extensions=begins_saga(),
)
@public
def checkout(body: CartCheckoutIn) -> Response:
    """Answers as the saga service of the style does. If that is away, the checkout is handed over when it is back."""
    handover: Handover = current_app.extensions["handover"]
    with handover.place() as placed:
        served = serve_once(db, lambda connection: _accept(connection, body, by_worker=not placed))
        if not placed or served.response.status_code != 202:
            return served.response
        return _delivered(handover, body, _accepted_saga(served), served.response)


def _accepted_saga(served: Served) -> UUID:
    """Return the saga that was accepted now, or by the first request with the same key."""
    match served.outcome:
        case Answer(body=CheckoutOut(saga_id=saga_id)):
            return saga_id
    return CheckoutOut.model_validate_json(served.response.get_data()).saga_id


def _delivered(handover: Handover, body: CartCheckoutIn, saga_id: UUID, accepted: Response) -> Response:
    """Return the answer of the saga's service to the handover; `accepted` when it does not answer."""
    request_for_saga = {**vars(body.request(body.cart_id, _trace())), "saga_id": saga_id}
    checkout = CheckoutHandover(**request_for_saga, fault=current_fault())
    reply = handover.deliver(checkout, request.headers.get("Prefer", ""))
    if reply is None:
        return accepted
    _handed_over(saga_id)
    answer = {**reply.body, "saga_pattern": body.saga_pattern}
    kept = {"Location": accepted.headers["Location"]}
    if "Preference-Applied" in reply.headers:
        kept["Preference-Applied"] = reply.headers["Preference-Applied"]
    return respond(Answer(answer, reply.status, kept))


@routes.get("/orders/<order_id>", summary="Read an order", responses={200: OrderOut, 404: NO_ORDER})
@public
def get_order(path: OrderPath) -> Response:
    """The order with its lines and total, fixed when its cart was frozen."""
    with db.transaction() as connection:
        return respond(Answer(OrderOut.of(service.get_order(connection, path.order_id))))


@routes.get("/orders/saga/<cart_id>", summary="List the orders of a cart", responses={200: OrdersOut})
@public
def orders_of_cart(path: CartPath) -> Response:
    """All orders that the cart ever had, oldest first."""
    with db.transaction() as connection:
        orders = service.orders_of_cart(connection, path.cart_id)
    return respond(Answer(OrdersOut(items=[OrderOut.of(order) for order in orders])))


def _mark_handed_over(saga_ids: Sequence[UUID]) -> Sequence[None]:
    with db.transaction() as connection:
        checkout_store.handed_over(connection, saga_ids)
    return [None] * len(saga_ids)


# Requests that arrive during a write share the next transaction; no request waits for others to arrive.
_handed_over: Coalescer[UUID, None] = Coalescer(_mark_handed_over, BatchPolicy())


def _accept(connection: Connection, body: CartCheckoutIn, *, by_worker: bool) -> Answer:
    """Begin the checkout. `by_worker`: the worker delivers it, not this request; at once if that starts the saga."""
    settings = Settings.current()
    requests = [body.request(body.cart_id, _trace())]
    frozen = value_or_raise(service.begin_checkout(connection, requests, settings, by_saga_service=False)[0])
    saga_id = frozen.freeze.saga_id
    if by_worker and body.saga_pattern == "orchestrated":
        checkout_store.hand_over_now(connection, saga_id)
    columns = {name: getattr(body, name) for name in ("cart_id", "user_id", "payment_method", "saga_pattern")}
    location = {"Location": f"{_saga_url(settings, body.saga_pattern)}/{saga_id}"}
    return Answer(CheckoutOut(saga_id=saga_id, **columns), 202, location)


def _trace() -> str:
    """The `traceparent` of this request; the same one at each call."""
    if "trace" not in g:
        g.trace = traceparent(tracing.context())
    trace: str = g.trace
    return trace


def _saga_url(settings: Settings, style: str) -> str:
    """The URL of the sagas of this style."""
    if style == "orchestrated":
        return f"{settings.orchestrator_url.rstrip('/')}/saga"
    return f"{settings.choreography_url.rstrip('/')}/saga/choreography"
