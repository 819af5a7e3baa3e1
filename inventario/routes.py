"""inventario over HTTP: parse, call the use case, shape the answer."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from flask import Response, current_app
from flask_openapi import APIBlueprint
from sqlalchemy import Connection

from inventario import catalogue, service
from inventario.models import db
from inventario.movement_schemas import MovementOut, MovementsOut
from inventario.movements import lines_of_saga, movements_of
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
    SagaPath,
    lines_of,
)
from shared.errors import DomainError
from shared.http.access import public, services_only, services_or_admin
from shared.http.answers import Answer, Outcome, respond
from shared.http.idempotency import answer, answer_once
from shared.http.openapi import idempotent, problem
from shared.http.schemas import NoBody
from shared.saga.commands import Command, Commands
from shared.saga.standing import turned_back

routes = APIBlueprint("inventario", __name__, url_prefix="/api/products")
commands = Commands(db)

NO_PRODUCT = problem("No such product")
NO_RESERVATION = problem("Nothing is reserved for this saga")


@routes.post(
    "",
    summary="Add a product",
    responses={201: ProductOut, 409: problem("sku taken")},
    openapi_extensions=idempotent(),
)
@services_or_admin
def create_product(body: ProductIn) -> Response:
    """Its quantity is the stock to begin with."""
    return answer_once(
        db, lambda connection: Answer(ProductOut.of(catalogue.create_product(connection, body.command())), 201)
    )


@routes.get("", summary="List products", responses={200: ProductsOut})
@public
def list_products(query: PageQuery) -> Response:
    """In the order of their ids."""
    with db.transaction() as connection:
        rows = catalogue.list_products(connection, query.after, query.limit)
    items = [ProductOut.of(row) for row in rows]
    return respond(Answer(ProductsOut(items=items, next_after=items[-1].id if len(items) == query.limit else None)))


@routes.get(
    "/<other_than(reserve,unreserve,commit):product_id>",
    summary="Read a product",
    responses={200: ProductOut, 404: NO_PRODUCT},
)
@public
def get_product(path: ProductPath) -> Response:
    """With its stock: available, held by sagas under way, sold."""
    with db.transaction() as connection:
        return respond(Answer(ProductOut.of(catalogue.get_product(connection, path.product_id))))


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
        db, lambda connection: Answer(ProductOut.of(catalogue.restock(connection, path.product_id, body.quantity)))
    )


@routes.post(
    "/reserve",
    summary="Hold stock for a saga",
    responses={201: ReservationOut, 404: NO_PRODUCT, 409: problem("Not enough stock, or no longer possible")},
    openapi_extensions=idempotent(),
)
@services_only
def reserve(body: ReserveIn) -> Response:
    """All lines or none; repeated, it answers the same, a refusal too; after `unreserve` it is refused."""
    return answer_once(db, lambda connection: _reserve(connection, [Command(body)])[0])


@routes.post(
    "/unreserve",
    summary="Give back what a saga holds or bought",
    responses={
        200: ReservationOut,
        409: problem("Of another cart or other items, the saga did not turn back, or the saga is too old"),
    },
)
@services_only
def unreserve(body: ReservationIn) -> Response:
    """The compensation of `reserve` and of `commit`; before its `reserve` came, it keeps that from happening.

    What was sold comes back once carrito says that the saga turned back.
    """
    [outcome] = _unreserve([Command(body)])
    return respond(outcome)


@routes.post(
    "/commit",
    summary="Sell what a saga holds",
    responses={
        200: ReservationOut,
        404: NO_RESERVATION,
        409: problem("The hold is over, or of another cart or other items"),
    },
)
@services_only
def commit(body: ReservationIn) -> Response:
    """The pivot of the saga: from here on it goes forward."""
    return answer(db, lambda connection: _commit(connection, [Command(body)])[0])


@routes.get("/reservations/<cart_id>", summary="A cart's reservations", responses={200: ReservationsOut})
@public
def reservations_of_cart(path: CartPath) -> Response:
    """Every one that it ever had, line by line, oldest first."""
    with db.transaction() as connection:
        return respond(Answer(ReservationsOut(items=lines_of(service.reservations_of_cart(connection, path.cart_id)))))


@routes.get("/movements/<saga_id>", summary="What stock a saga moved", responses={200: MovementsOut})
@public
def movements_of_saga(path: SagaPath) -> Response:
    """From shelf to shelf, line by line, oldest first; nothing for a saga that reserved nothing."""
    with db.transaction() as connection:
        lines = lines_of_saga(connection, path.saga_id)
    movements = movements_of(lines[0]) if lines else []
    return respond(Answer(MovementsOut(items=[MovementOut.of(each, line) for each in movements for line in lines])))


@commands.register("/api/products/reserve", ReserveIn, key=lambda command: command.body.saga)
def _reserve(connection: Connection, requests: Sequence[Command[ReserveIn, NoBody]]) -> list[Outcome]:
    hold_seconds: float = current_app.config["HOLD_SECONDS"]
    return _outcomes(
        requests, service.reserve(connection, [each.body.command() for each in requests], hold_seconds), 201
    )


@commands.register_compensation(
    "/api/products/unreserve", ReservationIn, key=lambda command: command.body.saga, may_be_compensated=turned_back
)
def _unreserve(
    connection: Connection, requests: Sequence[Command[ReservationIn, NoBody]], proven: Collection[UUID]
) -> list[Outcome]:
    return _outcomes(requests, service.unreserve(connection, [each.body.command() for each in requests], proven), 200)


@commands.register("/api/products/commit", ReservationIn, key=lambda command: command.body.saga)
def _commit(connection: Connection, requests: Sequence[Command[ReservationIn, NoBody]]) -> list[Outcome]:
    return _outcomes(requests, service.commit(connection, [each.body.command() for each in requests]), 200)


def _outcomes(
    requests: Sequence[Command[Any, NoBody]], found: Sequence[service.Reservation | DomainError], status: int
) -> list[Outcome]:
    return [
        each if isinstance(each, DomainError) else Answer(ReservationOut.of(command.body, each.lines), status)
        for command, each in zip(requests, found, strict=True)
    ]
