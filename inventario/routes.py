"""inventario over HTTP: parse, call the use case, shape the answer."""

from uuid import UUID

from flask import Response, current_app
from flask_openapi import APIBlueprint

from inventario import service
from inventario.models import db
from inventario.schemas import (
    CartPath,
    PageQuery,
    ProductIn,
    ProductOut,
    ProductPath,
    ProductsOut,
    ReservationIn,
    ReservationOut,
    ReservationsOut,
    ReserveIn,
    RestockIn,
    lines_of,
)
from shared.idempotency import answer_once
from shared.openapi import idempotent, problem
from shared.web import Answer, respond

routes = APIBlueprint("inventario", __name__, url_prefix="/api/products")

NO_PRODUCT = problem("No such product")
NO_RESERVATION = problem("Nothing is reserved for this saga")


@routes.post(
    "",
    summary="Add a product",
    responses={201: ProductOut, 409: problem("sku taken")},
    openapi_extensions=idempotent(),
)
def create_product(body: ProductIn) -> Response:
    """Its quantity is the stock to begin with."""
    return answer_once(db, lambda uow: Answer(ProductOut.of(service.create_product(uow, body.command())), 201))


@routes.get("", summary="List products", responses={200: ProductsOut})
def list_products(query: PageQuery) -> Response:
    """In the order of their ids."""
    with db.transaction() as uow:
        rows = service.list_products(uow, query.after, query.limit)
    items = [ProductOut.of(row) for row in rows]
    return respond(Answer(ProductsOut(items=items, next_after=items[-1].id if len(items) == query.limit else None)))


@routes.get(
    "/<other_than(reserve,unreserve,commit):product_id>",
    summary="Read a product",
    responses={200: ProductOut, 404: NO_PRODUCT},
)
def get_product(path: ProductPath) -> Response:
    """With its stock: available, held by sagas under way, sold."""
    with db.transaction() as uow:
        return respond(Answer(ProductOut.of(service.get_product(uow, path.product_id))))


@routes.post(
    "/<product_id>/restock",
    summary="Add stock",
    responses={200: ProductOut, 404: NO_PRODUCT},
    openapi_extensions=idempotent(),
)
def restock(path: ProductPath, body: RestockIn) -> Response:
    """Send an Idempotency-Key, so that a repeated request does not add it twice."""
    return answer_once(db, lambda uow: Answer(ProductOut.of(service.restock(uow, path.product_id, body.quantity))))


@routes.post(
    "/reserve",
    summary="Hold stock for a saga",
    responses={201: ReservationOut, 404: NO_PRODUCT, 409: problem("Not enough stock, or no longer possible")},
    openapi_extensions=idempotent(),
)
def reserve(body: ReserveIn) -> Response:
    """All lines or none; repeated, it answers the same; after `unreserve` it is refused."""
    saga_id = _saga_of(body)
    hold_seconds: float = current_app.config["HOLD_SECONDS"]
    return answer_once(
        db,
        lambda uow: Answer(
            ReservationOut.of(
                saga_id, body.cart_id, service.reserve(uow, saga_id, body.cart_id, body.lines(), hold_seconds)
            ),
            201,
        ),
    )


@routes.post("/unreserve", summary="Give back what a saga holds or bought", responses={200: ReservationOut})
def unreserve(body: ReservationIn) -> Response:
    """The compensation of `reserve` and of `commit`; before its `reserve` came, it keeps that from happening."""
    saga_id = _saga_of(body)
    with db.transaction() as uow:
        rows = service.unreserve(uow, saga_id)
    return respond(Answer(ReservationOut.of(saga_id, body.cart_id, rows)))


@routes.post(
    "/commit",
    summary="Sell what a saga holds",
    responses={200: ReservationOut, 404: NO_RESERVATION, 409: problem("The hold was released or is over")},
)
def commit(body: ReservationIn) -> Response:
    """The pivot of the saga: from here on it goes forward."""
    saga_id = _saga_of(body)
    with db.transaction() as uow:
        rows = service.commit(uow, saga_id)
    return respond(Answer(ReservationOut.of(saga_id, body.cart_id, rows)))


@routes.get("/reservations/<cart_id>", summary="A cart's reservations", responses={200: ReservationsOut})
def reservations_of_cart(path: CartPath) -> Response:
    """Every one that it ever had, line by line, oldest first."""
    with db.transaction() as uow:
        return respond(Answer(ReservationsOut(items=lines_of(service.reservations_of_cart(uow, path.cart_id)))))


def _saga_of(body: ReserveIn | ReservationIn) -> UUID:
    return body.saga_id or body.cart_id
