"""inventario over HTTP: parse, call the use case, shape the answer."""

from flask import Response
from flask_openapi import APIBlueprint

from inventario import service
from inventario.models import db
from inventario.schemas import (
    CartPath,
    MovementsOut,
    PageQuery,
    ProductIn,
    ProductOut,
    ProductPath,
    ProductsOut,
    ReservationsOut,
    RestockIn,
    SagaPath,
    lines_of,
)
from shared.http.access import public, services_or_admin
from shared.http.answers import Answer, respond
from shared.http.idempotency import answer_once
from shared.http.openapi import idempotent, problem

routes = APIBlueprint("inventario", __name__, url_prefix="/api/products")

NO_PRODUCT = problem("No such product")


@routes.post(
    "",
    summary="Add a product",
    responses={201: ProductOut, 409: problem("sku taken")},
    openapi_extensions=idempotent(),
)
@services_or_admin
def create_product(body: ProductIn) -> Response:
    """The quantity is the product's first stock."""
    return answer_once(
        db, lambda connection: Answer(ProductOut.of(service.create_product(connection, body.command())), 201)
    )


@routes.get("", summary="List products", responses={200: ProductsOut})
@public
def list_products(query: PageQuery) -> Response:
    """A page of products, in the order of ids."""
    with db.transaction() as connection:
        products = service.list_products(connection, query.after, query.limit)
    items = [ProductOut.of(product) for product in products]
    return respond(Answer(ProductsOut(items=items, next_after=items[-1].id if len(items) == query.limit else None)))


@routes.get(
    "/<other_than(reserve,unreserve,commit):product_id>",
    summary="Read a product",
    responses={200: ProductOut, 404: NO_PRODUCT},
)
@public
def get_product(path: ProductPath) -> Response:
    """The product with its stock: available, held by live sagas, sold."""
    with db.transaction() as connection:
        return respond(Answer(ProductOut.of(service.get_product(connection, path.product_id))))


@routes.post(
    "/<product_id>/restock",
    summary="Add stock",
    responses={200: ProductOut, 404: NO_PRODUCT},
    openapi_extensions=idempotent(),
)
@services_or_admin
def restock(path: ProductPath, body: RestockIn) -> Response:
    """Send an Idempotency-Key, so that a repeated request does not add it twice."""
    return answer_once(
        db, lambda connection: Answer(ProductOut.of(service.restock(connection, path.product_id, body.quantity)))
    )


@routes.get("/reservations/<cart_id>", summary="List the reservations of a cart", responses={200: ReservationsOut})
@public
def reservations_of_cart(path: CartPath) -> Response:
    """The lines of all reservations that the cart ever had, oldest first."""
    with db.transaction() as connection:
        reservations = service.reservations_of_cart(connection, path.cart_id)
    return respond(Answer(ReservationsOut(items=[line for each in reservations for line in lines_of(each)])))


@routes.get("/movements/<saga_id>", summary="List the stock movements of a saga", responses={200: MovementsOut})
@public
def movements_of_saga(path: SagaPath) -> Response:
    """The movements of each line, oldest first; none for a saga that reserved nothing."""
    with db.transaction() as connection:
        history = service.history_of_saga(connection, path.saga_id)
    return respond(Answer(MovementsOut.of(history)))
