"""The orchestrator over HTTP: parse, call the use case, shape the answer."""

from uuid import UUID

from flask import Response, current_app, request
from flask_openapi import APIBlueprint
from sqlalchemy import Connection

from saga_orchestrator import service
from saga_orchestrator.coalesced_service import CoalescedService
from saga_orchestrator.models import db
from saga_orchestrator.orchestrator import CheckoutSaga
from saga_orchestrator.schemas import checkout_of, saga_out
from saga_orchestrator.source import SOURCE
from saga_orchestrator.timeline import timeline_out
from shared.database.connections import Row
from shared.http.access import Who, admin_only, public, require
from shared.http.answers import Answer, respond
from shared.http.carrito_client import CarritoClient
from shared.http.idempotency import request_key
from shared.http.long_poll import CompletionNotifier, preferred_wait
from shared.http.openapi import begins_saga, problem
from shared.saga.api import add_endpoints
from shared.saga.states import ENDED
from shared.saga.views import (
    AcceptedOut,
    CheckoutIn,
    OperatorIn,
    SagaOut,
    SagaPath,
    TimelineOut,
)

routes = APIBlueprint("saga_orchestrator", __name__, url_prefix="/saga")
add_endpoints(routes, SOURCE)

IN_DOUBT = problem("No answer from carrito in time; ask again, under the same Idempotency-Key")
NO_SAGA = problem("No such saga")


@routes.post(
    "/checkout",
    summary="Check a cart out",
    responses={
        200: SagaOut,
        202: AcceptedOut,
        401: problem("A `saga_id` without the token of a service"),
        404: problem("No such cart, or no such saga"),
        409: problem("The cart is empty, being checked out (by the saga named) or checked out; or the saga's differs"),
        504: IN_DOUBT,
    },
    openapi_extensions=begins_saga(),
)
@public
def checkout(body: CheckoutIn) -> Response:
    """Answers once the saga is durable; with `Prefer: wait=N`, once it ended or N seconds passed (200 if ended)."""
    begun = _begun(body)
    headers = {"Location": f"/saga/{begun.saga_id}"}
    with _completions().waiter(begun.saga_id, _preferred_wait()) as waiter:
        is_new = _coalesced().accept(begun)
        if waiter is None:
            return respond(Answer(AcceptedOut(saga_id=begun.saga_id, **vars(begun.data)), 202, headers))
        if is_new:
            waiter.wait()
        saga = waiter.poll(lambda: _view(begun.saga_id), lambda saga: saga.status in ENDED)
    headers["Preference-Applied"] = f"wait={waiter.seconds:g}"
    return respond(Answer(saga, 200 if saga.status in ENDED else 202, headers))


@routes.get(
    "/<other_than(changes,checkout,definition,operations,stats):saga_id>",
    summary="Read a saga",
    responses={200: SagaOut, 404: NO_SAGA},
)
@public
def get_saga(path: SagaPath) -> Response:
    """Its status and its steps'; what it shows of a saga under way may be a moment old."""
    return respond(Answer(_view(path.saga_id)))


@routes.get("/<saga_id>/timeline", summary="All that happened to a saga", responses={200: TimelineOut, 404: NO_SAGA})
@public
def get_timeline(path: SagaPath) -> Response:
    """Every request with its times and outcome, and every decision; of many attempts, the first ten and the latest."""
    with db.transaction() as connection:
        saga, rows = service.get_timeline(connection, path.saga_id)
    return respond(Answer(TimelineOut(saga_id=path.saga_id, items=timeline_out(saga, rows))))


@routes.post(
    "/<saga_id>/compensate",
    summary="Undo a saga",
    responses={202: SagaOut, 404: NO_SAGA, 409: problem("The saga is too old to be undone")},
)
@admin_only
def compensate(path: SagaPath, body: OperatorIn) -> Response:
    """A running saga turns back, a completed one is undone in full; repeated, it does nothing more."""
    with db.transaction() as connection:
        saga = _view_of(connection, service.compensate(connection, path.saga_id, body.reason, body.by))
    with _completions().waiter(path.saga_id, _preferred_wait()) as waiter:
        if waiter is not None:
            saga = waiter.poll(lambda: _view(path.saga_id), lambda saga: saga.status in ENDED)
    return respond(Answer(saga, 202, {"Location": f"/saga/{path.saga_id}"}))


@routes.post(
    "/<saga_id>/retry",
    summary="Try a waiting or stuck saga again now",
    responses={202: SagaOut, 404: NO_SAGA, 409: problem("The saga has ended")},
)
@admin_only
def retry(path: SagaPath, body: OperatorIn) -> Response:
    """It would be tried again anyway; this is for when the cause is known to be gone."""
    with db.transaction() as connection:
        saga = _view_of(connection, service.retry(connection, path.saga_id, body.reason, body.by))
    return respond(Answer(saga, 202, {"Location": f"/saga/{path.saga_id}"}))


def _begun(body: CheckoutIn) -> CheckoutSaga:
    """The checkout that carrito began, or begins now for us; what it is about is carrito's to say."""
    request_key()  # refused if it is none, also where it isn't needed
    carrito: CarritoClient = current_app.extensions["carrito_client"]
    if body.saga_id is not None:
        require(Who.SERVICES)
        return checkout_of(body, body.saga_id, carrito.find_checkout(body, body.saga_id))
    cart = carrito.begin_checkout(body, request.headers.get("Idempotency-Key"), request.headers.get("traceparent"))
    return checkout_of(body, UUID(cart["saga_id"]), cart)


def _preferred_wait() -> float:
    return preferred_wait(request.headers.get("Prefer", ""), current_app.config["MOST_WAIT"])


def _completions() -> CompletionNotifier:
    return current_app.extensions["completions"]  # type: ignore[no-any-return]


def _coalesced() -> CoalescedService:
    return current_app.extensions["coalesced_service"]  # type: ignore[no-any-return]


def _view(saga_id: UUID) -> SagaOut:
    return saga_out(*_coalesced().get(saga_id))


def _view_of(connection: Connection, row: Row) -> SagaOut:
    """The saga as the row says, whatever has become of it since."""
    saga_id = row["saga_id"]
    return saga_out(row, service.step_times(connection, [saga_id])[saga_id])
