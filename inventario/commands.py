"""The commands of sagas to inventario: each is an endpoint of its own, and may be sent with others."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import Connection

from inventario import service
from inventario.config import Settings
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
    """All lines or none; repeated, it answers the same, a refusal too; after `unreserve` it is refused."""
    hold_seconds = Settings.current().hold_seconds
    reserved = service.reserve(connection, [each.body.command() for each in requests], hold_seconds)
    return answers(reserved, ReservationOut.of, 201)


@commands.compensation(
    "/api/products/unreserve",
    ReservationIn,
    key=lambda command: command.body.saga,
    may_be_compensated=turned_back,
    summary="Give back what a saga holds or bought",
    responses={
        200: ReservationOut,
        409: problem("Of another cart or other items, the saga did not turn back, or the saga is too old"),
    },
)
def unreserve(
    connection: Connection, requests: Sequence[CommandRequest[ReservationIn, NoBody]], proven: Collection[UUID]
) -> list[HttpOutcome]:
    """The compensation of `reserve` and of `commit`; before its `reserve` came, it keeps that from happening.

    What was sold comes back once carrito says that the saga turned back.
    """
    released = service.unreserve(connection, [each.body.command() for each in requests], proven)
    return answers(released, ReservationOut.of)


@commands.action(
    "/api/products/commit",
    ReservationIn,
    key=lambda command: command.body.saga,
    summary="Sell what a saga holds",
    responses={
        200: ReservationOut,
        404: problem("Nothing is reserved for this saga"),
        409: problem("The hold is over, or of another cart or other items"),
    },
)
def commit(connection: Connection, requests: Sequence[CommandRequest[ReservationIn, NoBody]]) -> list[HttpOutcome]:
    """The pivot of the saga: from here on it goes forward."""
    return answers(service.commit(connection, [each.body.command() for each in requests]), ReservationOut.of)
