"""The commands that sagas send to inventario: each has an endpoint of its own, and may be sent in a batch."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import Connection

from inventario import service
from inventario.config import Settings
from inventario.domain import Unreserve
from inventario.models import db
from inventario.schemas import ReservationIn, ReservationOut, ReserveIn
from shared.http.answers import HttpOutcome
from shared.http.openapi import problem
from shared.http.schemas import NoBody
from shared.saga.commands import CommandRequest, Commands, Idempotency, answers
from shared.saga.standing import turned_back

commands = Commands(db)


@commands.action(
    "/api/products/reserve",
    ReserveIn,
    key=lambda command: command.body.saga,
    summary="Hold stock for a saga",
    responses={
        201: ReservationOut,
        404: problem("No such product"),
        409: problem("Not enough stock, or no longer possible"),
    },
    idempotency=Idempotency(),
)
def reserve(connection: Connection, requests: Sequence[CommandRequest[ReserveIn, NoBody]]) -> list[HttpOutcome]:
    """Hold all lines or none. A repeated request gets the same answer or refusal; after `unreserve` it is refused."""
    hold_seconds = Settings.current().hold_seconds
    reserved = service.reserve(connection, [each.body.command() for each in requests], hold_seconds)
    return answers(reserved, ReservationOut.of, 201)


@commands.compensation(
    "/api/products/unreserve",
    ReservationIn,
    key=lambda command: command.body.saga,
    may_be_compensated=turned_back,
    summary="Return what a saga holds or bought",
    responses={
        200: ReservationOut,
        409: problem("The saga did not turn back, or it is too old"),
    },
)
def unreserve(
    connection: Connection,
    requests: Sequence[CommandRequest[ReservationIn, NoBody]],
    turned_back: Collection[UUID],
) -> list[HttpOutcome]:
    """Compensate `reserve` and `commit`. If `reserve` has not come yet, it will be refused.

    A sale is compensated only when carrito says that the saga turned back.
    """
    undone = [Unreserve(each.body.saga, each.body.cart_id) for each in requests]
    released = service.unreserve(connection, undone, turned_back)
    return answers(released, ReservationOut.of)


@commands.action(
    "/api/products/commit",
    ReservationIn,
    key=lambda command: command.body.saga,
    summary="Sell what a saga holds",
    responses={
        200: ReservationOut,
        404: problem("Nothing is reserved for this saga"),
        409: problem("The hold has ended, or the request names another cart or other items"),
    },
)
def commit(connection: Connection, requests: Sequence[CommandRequest[ReservationIn, NoBody]]) -> list[HttpOutcome]:
    """The pivot of an orchestrated saga: once it has succeeded, only an operator turns it back.

    A choreographed saga sells by its event, for its order; a deadline turns back what was sold before that.
    """
    return answers(service.commit(connection, [each.body.command() for each in requests]), ReservationOut.of)
