"""The endpoints of both saga services: parse, call the use case of `service.py`, shape the answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import Response, request
from flask_openapi import APIBlueprint

from shared.config import SagaServiceSettings
from shared.http import tracing
from shared.http.access import Who, admin_only, public, require
from shared.http.answers import Answer, respond
from shared.http.idempotency import request_key
from shared.http.long_poll import Waiter, preferred_wait
from shared.http.openapi import begins_saga, problem
from shared.saga.changes import SagaChangesOut, SagaChangesQuery
from shared.saga.definition import DefinitionOut
from shared.saga.errors import SagaNotFound
from shared.saga.frozen import FrozenCheckout
from shared.saga.operations import OperationsOut, OperationsQuery
from shared.saga.port import OperatorRequest
from shared.saga.setup import SagaApi
from shared.saga.states import ENDED
from shared.saga.stats import StatsOut, StatsQuery
from shared.saga.timeline_views import TimelineOut
from shared.saga.views import AcceptedOut, CheckoutIn, ListQuery, OperatorIn, SagaOut, SagaPath, SagasOut, list_query_of
from shared.trace import traceparent

_Responses = dict[str | int | HTTPStatus, Any]
_CHECKOUT_ANSWERS: _Responses = {
    200: SagaOut,
    202: AcceptedOut,
    401: problem("A `saga_id` without the token of a service"),
    404: problem("No such cart, or no such saga"),
    409: problem("The cart is empty, being checked out (by the saga named) or checked out; or the saga's differs"),
    504: problem("No answer from carrito in time; ask again, under the same Idempotency-Key"),
}
_NO_SAGA: _Responses = {404: problem("No such saga")}
_COMPENSATE_ANSWERS: _Responses = {202: SagaOut, **_NO_SAGA, 409: problem("The saga is too old to be undone")}
_RETRY_ANSWERS: _Responses = {202: SagaOut, **_NO_SAGA, 409: problem("The saga has ended")}


@dataclass(frozen=True)
class Descriptions:
    """What the OpenAPI document says of endpoints that mean different things in the two styles."""

    get_saga: str
    get_timeline: str
    compensate: str
    retry_summary: str
    retry: str


def add_routes_of_all_sagas(routes: APIBlueprint, list_path: str, failing_steps: Sequence[str]) -> None:
    """Add the endpoints that name no saga to a blueprint, whose prefix is the path of sagas.

    `failing_steps` are the steps because of which a saga may turn back.
    """
    _add_list(routes, list_path, list_query_of(failing_steps))
    routes.get("/changes", summary="Sagas that changed", responses={200: SagaChangesOut})(list_changes)
    routes.get("/stats", summary="How sagas are doing", responses={200: StatsOut})(get_stats)
    routes.get("/definition", summary="What a saga is made of", responses={200: DefinitionOut})(get_definition)
    routes.get("/operations", summary="What operators did", responses={200: OperationsOut})(list_operations)
    routes.post("/checkout", summary="Check a cart out", responses=_CHECKOUT_ANSWERS, openapi_extensions=begins_saga())(
        checkout
    )


def add_routes_of_one_saga(routes: APIBlueprint, about: Descriptions, own_words: tuple[str, ...] = ()) -> None:
    """Add the endpoints that name a saga; `own_words` begin paths that the service itself has beside those above."""
    words = ",".join(("changes", "checkout", "definition", "operations", "stats", *own_words))
    routes.get(
        f"/<other_than({words}):saga_id>",
        summary="Read a saga",
        description=about.get_saga,
        responses={200: SagaOut, **_NO_SAGA},
    )(get_saga)
    routes.get(
        "/<saga_id>/timeline",
        summary="All that happened to a saga",
        description=about.get_timeline,
        responses={200: TimelineOut, **_NO_SAGA},
    )(get_timeline)
    routes.post(
        "/<saga_id>/compensate",
        summary="Undo a saga",
        description=about.compensate,
        responses=_COMPENSATE_ANSWERS,
    )(compensate)
    routes.post("/<saga_id>/retry", summary=about.retry_summary, description=about.retry, responses=_RETRY_ANSWERS)(
        retry
    )


def _add_list(routes: APIBlueprint, list_path: str, list_query: type[ListQuery]) -> None:
    @routes.get(list_path, summary="List sagas", responses={200: SagasOut})
    @public
    def list_sagas(query: list_query) -> Response:  # type: ignore[valid-type]  # made for this service's steps
        """Newest first: those that pass every filter."""
        return respond(Answer(SagaApi.current().service.list_sagas(query)))


@public
def checkout(body: CheckoutIn) -> Response:
    """Answers once the saga is durable; with `Prefer: wait=N`, once it ended or N seconds passed (200 if ended)."""
    frozen = _frozen_checkout(body)
    headers = {"Location": _path_of(frozen.saga_id)}
    with SagaApi.current().completions.waiter(frozen.saga_id, _preferred_seconds()) as waiter:
        under_way = SagaApi.current().service.accept(frozen)
        if waiter is None:
            accepted = {name: getattr(body, name) for name in ("cart_id", "user_id", "payment_method")}
            return respond(Answer(AcceptedOut(saga_id=frozen.saga_id, **accepted), 202, headers))
        if under_way:
            waiter.wait()
        saga = _until_ended(waiter, frozen.saga_id)
    headers["Preference-Applied"] = f"wait={waiter.seconds:g}"
    return respond(Answer(saga, 200 if saga.status in ENDED else 202, headers))


@public
def list_changes(query: SagaChangesQuery) -> Response:
    """Those that changed after a position, none left out; with `wait`, as soon as there are any."""
    return respond(Answer(SagaApi.current().service.list_changes(query)))


@public
def get_stats(query: StatsQuery) -> Response:
    """What is live now; what ended in the last seconds, how many a second, and how long they took."""
    return respond(Answer(SagaApi.current().service.get_stats(query.seconds)))


@public
def get_definition() -> Response:
    """The definition of a saga: its steps, and who reacts to which event."""
    return respond(Answer(SagaApi.current().service.definition))


@admin_only
def list_operations(query: OperationsQuery) -> Response:
    """Who requested what, why and when, of all sagas; the latest first."""
    return respond(Answer(SagaApi.current().service.list_operations(query)))


@public
def get_saga(path: SagaPath) -> Response:
    """The saga's status, and the status of each step."""
    return respond(Answer(SagaApi.current().service.get(path.saga_id)))


@public
def get_timeline(path: SagaPath) -> Response:
    """All that is stored of what happened to it, in order."""
    return respond(Answer(SagaApi.current().service.get_timeline(path.saga_id)))


@admin_only
def compensate(path: SagaPath, body: OperatorIn) -> Response:
    """A running saga turns back, a completed one is undone in full; with `Prefer: wait=N`, answers once it ended.

    So does one whose checkout carrito has accepted and not handed over yet.
    """
    saga = _compensated(path.saga_id, _operator_request(body))
    with SagaApi.current().completions.waiter(path.saga_id, _preferred_seconds()) as waiter:
        if waiter is not None:
            saga = _until_ended(waiter, path.saga_id)
    return respond(Answer(saga, 202, {"Location": _path_of(path.saga_id)}))


@admin_only
def retry(path: SagaPath, body: OperatorIn) -> Response:
    """For a saga that does not go on, when its cause is known to be gone."""
    saga = SagaApi.current().service.retry(path.saga_id, _operator_request(body))
    return respond(Answer(saga, 202, {"Location": _path_of(path.saga_id)}))


def _frozen_checkout(body: CheckoutIn) -> FrozenCheckout:
    """Have carrito freeze the cart for a new saga or, for a saga that carrito handed over, find what it froze."""
    request_key()  # refuses an invalid key, also where none is needed
    carrito = SagaApi.current().carrito
    if body.saga_id is not None:
        require(Who.SERVICES)
        return carrito.find_checkout(body, body.saga_id)
    return carrito.begin_checkout(body, request.headers.get("Idempotency-Key"), tracing.context())


def _compensated(saga_id: UUID, operator: OperatorRequest) -> SagaOut:
    """Turn a saga back. One that carrito accepted, and has not handed over yet, is accepted here first."""
    api = SagaApi.current()
    try:
        return api.service.compensate(saga_id, operator)
    except SagaNotFound:
        checkout = api.carrito.checkout_of(saga_id)
        if checkout is None:
            raise
        api.service.accept(checkout)
        return api.service.compensate(saga_id, operator)


def _operator_request(body: OperatorIn) -> OperatorRequest:
    return OperatorRequest(body.reason, body.by, traceparent(tracing.context()))


def _until_ended(waiter: Waiter, saga_id: UUID) -> SagaOut:
    """Read the saga now and after each notification, until it has ended or the waiter's deadline has passed."""
    while True:
        saga = SagaApi.current().service.get(saga_id)
        if saga.status in ENDED or not waiter.wait():
            return saga


def _preferred_seconds() -> float:
    return preferred_wait(request.headers.get("Prefer", ""), SagaServiceSettings.current().most_wait_seconds)


def _path_of(saga_id: UUID) -> str:
    return f"{SagaApi.current().service.path}/{saga_id}"
