"""The endpoints of both saga services."""

from flask import Response, current_app
from flask_openapi import APIBlueprint

from shared.http.access import admin_only, public
from shared.http.answers import Answer, respond
from shared.saga import listing, operations
from shared.saga.changes import ChangeFeed, SagaChangesOut, SagaChangesQuery
from shared.saga.definition import DefinitionOut
from shared.saga.operations import OperationsOut, OperationsQuery
from shared.saga.source import SagaSource
from shared.saga.stats import StatsOut, StatsQuery, stats_of
from shared.saga.views import SagasOut, list_query_of


def add_endpoints(routes: APIBlueprint, source: SagaSource) -> None:
    """Add the endpoints to a blueprint, whose prefix is the path of sagas."""
    _add_list(routes, source)
    _add_changes(routes)
    _add_stats(routes, source)
    _add_definition(routes, source)
    _add_operations(routes, source)


def _add_list(routes: APIBlueprint, source: SagaSource) -> None:
    list_query = list_query_of(source.failing_steps)

    @routes.get(source.list_path, summary="List sagas", responses={200: SagasOut})
    @public
    def list_sagas(query: list_query) -> Response:  # type: ignore[valid-type]  # made for this service's steps
        """Newest first: those that pass every filter."""
        with source.database.transaction() as connection:
            page = listing.page_of(connection, source, query)
        return respond(Answer(page))


def _add_changes(routes: APIBlueprint) -> None:
    @routes.get("/changes", summary="Sagas that changed", responses={200: SagaChangesOut})
    @public
    def list_changes(query: SagaChangesQuery) -> Response:
        """Those that changed after a position, none left out; with `wait`, as soon as there are any."""
        feed: ChangeFeed = current_app.extensions["changes"]
        return respond(Answer(feed.read(query)))


def _add_stats(routes: APIBlueprint, source: SagaSource) -> None:
    @routes.get("/stats", summary="How sagas are doing", responses={200: StatsOut})
    @public
    def get_stats(query: StatsQuery) -> Response:
        """What is live now; what ended in the last seconds, how many a second, and how long they took."""
        with source.database.transaction() as connection:
            stats = stats_of(connection, source.sagas, query.seconds)
        return respond(Answer(stats))


def _add_definition(routes: APIBlueprint, source: SagaSource) -> None:
    @routes.get("/definition", summary="What a saga is made of", responses={200: DefinitionOut})
    @public
    def get_definition() -> Response:
        """The declaration that runs: its steps, and who reacts to which event."""
        return respond(Answer(source.definition))


def _add_operations(routes: APIBlueprint, source: SagaSource) -> None:
    @routes.get("/operations", summary="What operators did", responses={200: OperationsOut})
    @admin_only
    def list_operations(query: OperationsQuery) -> Response:
        """Who asked for what, why and when, of all sagas; the latest first."""
        with source.database.transaction() as connection:
            page = operations.page_of(connection, source.operations, query)
        return respond(Answer(page))
