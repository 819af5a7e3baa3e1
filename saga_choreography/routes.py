"""The choreography over HTTP: parse, call the use case, shape the answer."""

from uuid import UUID

from flask import Response, current_app, request
from flask_openapi import APIBlueprint

from saga_choreography import dead_letters, service
from saga_choreography.coalesced_service import CoalescedService
from saga_choreography.domain import Cancellation, Checkout, Resend
from saga_choreography.letter_filter import LetterFilter
from saga_choreography.models import db
from saga_choreography.schemas import (
    DeadLetterOut,
    DeadLettersOut,
    DeadLettersQuery,
    RedriveIn,
    RedriveOut,
    checkout_of,
    saga_out,
)
from saga_choreography.source import SOURCE
from saga_choreography.timeline import timeline_out
from shared.http.access import Who, admin_only, public, require
from shared.http.answers import Answer, respond
from shared.http.carrito_client import CarritoClient
from shared.http.idempotency import request_key
from shared.http.long_poll import CompletionNotifier, Waiter, preferred_wait
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
from shared.trace import traceparent

routes = APIBlueprint("saga_choreography", __name__, url_prefix="/saga/choreography")
add_endpoints(routes, SOURCE)

REDRIVES_SHOWN = 50
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
    headers = {"Location": f"/saga/choreography/{begun.saga_id}"}
    with _completions().waiter(begun.saga_id, _preferred_wait()) as waiter:
        status = _coalesced().register(begun)
        if waiter is None:
            return respond(Answer(AcceptedOut(**vars(begun)), 202, headers))
        if status not in ENDED:
            waiter.wait()
        saga = _until_ended(waiter, begun.saga_id)
    headers["Preference-Applied"] = f"wait={waiter.seconds:g}"
    return respond(Answer(saga, 200 if saga.status in ENDED else 202, headers))


@routes.get(
    "/dead-letters",
    summary="Messages that a service could not deal with",
    responses={200: DeadLettersOut},
)
@admin_only
def list_dead_letters(query: DeadLettersQuery) -> Response:
    """Of each service, those that fit, with why; and who had which of them tried again, the latest first."""
    url = current_app.config["RABBITMQ_URL"]
    which = LetterFilter(**query.model_dump(exclude={"limit"}))
    letters = dead_letters.list_letters(url, which, query.limit)
    items = [DeadLetterOut.model_validate(letter) for letter in letters]
    done = [RedriveOut(**dict(row)) for row in dead_letters.latest_redrives(REDRIVES_SHOWN)]
    return respond(Answer(DeadLettersOut(items=items, redrives=done)))


@routes.post(
    "/dead-letters/redrive",
    summary="Have messages tried again",
    responses={200: RedriveOut},
)
@admin_only
def redrive(body: RedriveIn) -> Response:
    """For when their cause is known to be gone. They come to their service as if for the first time."""
    wish = dead_letters.Redrive(**body.model_dump())
    row = dead_letters.try_again(current_app.config["RABBITMQ_URL"], wish)
    return respond(Answer(RedriveOut(**dict(row))))


@routes.get(
    '/<other_than(changes,checkout,definition,operations,stats,status,"dead-letters"):saga_id>',
    summary="Read a saga",
    responses={200: SagaOut, 404: NO_SAGA},
)
@public
def get_saga(path: SagaPath) -> Response:
    """Its status and its steps', as far as its events have come here."""
    return respond(Answer(_view(path.saga_id)))


@routes.get("/<saga_id>/timeline", summary="All that happened to a saga", responses={200: TimelineOut, 404: NO_SAGA})
@public
def get_timeline(path: SagaPath) -> Response:
    """Every event with who published it and what it follows from, and what was done about the saga."""
    with db.transaction() as connection:
        events, notes = service.get_timeline(connection, path.saga_id)
    return respond(Answer(TimelineOut(saga_id=path.saga_id, items=timeline_out(events, notes))))


@routes.post(
    "/<saga_id>/compensate",
    summary="Undo a saga",
    responses={202: SagaOut, 404: NO_SAGA, 409: problem("The saga is too old to be undone")},
)
@admin_only
def compensate(path: SagaPath, body: OperatorIn) -> Response:
    """A running saga turns back, a completed one is undone in full; repeated, its events are sent again."""
    wish = Cancellation(body.reason, body.by, trace=traceparent(request.headers.get("traceparent")))
    with db.transaction() as connection:
        row = service.compensate(connection, path.saga_id, wish, current_app.config["LIMITS"])
    with _completions().waiter(path.saga_id, _preferred_wait()) as waiter:
        saga = saga_out(row) if waiter is None else _until_ended(waiter, path.saga_id)
    return respond(Answer(saga, 202, {"Location": f"/saga/choreography/{path.saga_id}"}))


@routes.post(
    "/<saga_id>/retry",
    summary="Have a saga's events sent again",
    responses={202: SagaOut, 404: NO_SAGA, 409: problem("The saga has ended")},
)
@admin_only
def retry(path: SagaPath, body: OperatorIn) -> Response:
    """For when one may have been lost after the broker had confirmed it. Who has an event takes no notice of a copy."""
    request_of = Resend(body.reason, body.by, traceparent(request.headers.get("traceparent")))
    with db.transaction() as connection:
        row = service.retry(connection, path.saga_id, request_of)
    return respond(Answer(saga_out(row), 202, {"Location": f"/saga/choreography/{path.saga_id}"}))


def _begun(body: CheckoutIn) -> Checkout:
    """The checkout that carrito began, or begins now for us; what it is about is carrito's to say."""
    request_key()  # refused if it is none, also where it isn't needed
    carrito: CarritoClient = current_app.extensions["carrito_client"]
    if body.saga_id is not None:
        require(Who.SERVICES)
        carrito.find_checkout(body, body.saga_id)
        return checkout_of(body, body.saga_id)
    cart = carrito.begin_checkout(body, request.headers.get("Idempotency-Key"), request.headers.get("traceparent"))
    return checkout_of(body, UUID(cart["saga_id"]))


def _preferred_wait() -> float:
    return preferred_wait(request.headers.get("Prefer", ""), current_app.config["MOST_WAIT"])


def _until_ended(waiter: Waiter, saga_id: UUID) -> SagaOut:
    return waiter.poll(lambda: _view(saga_id), lambda saga: saga.status in ENDED)


def _view(saga_id: UUID) -> SagaOut:
    return saga_out(_coalesced().get(saga_id))


def _completions() -> CompletionNotifier:
    return current_app.extensions["completions"]  # type: ignore[no-any-return]


def _coalesced() -> CoalescedService:
    return current_app.extensions["coalesced_service"]  # type: ignore[no-any-return]
