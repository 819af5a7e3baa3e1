"""What the routes of a saga service use, in one object that its app keeps."""

from dataclasses import dataclass
from typing import Any, Self

from flask import current_app

from shared.config import SagaServiceSettings
from shared.database.connections import url_of
from shared.http.long_poll import CompletionNotifier
from shared.http.service_app import ServiceApp
from shared.messaging.metrics import OutboxMetrics
from shared.saga.carrito_client import CarritoClient
from shared.saga.changes import ChangeFeed
from shared.saga.metrics import LiveSagas
from shared.saga.port import HistoryT, NewSagaT, Sagas, SagaT
from shared.saga.service import SagaService

EXTENSION = "saga_api"


@dataclass(frozen=True)
class SagaApi:
    """A saga service's use cases, its client of carrito, and the notifier of sagas that end."""

    service: SagaService[Any, Any, Any]  # its type parameters are what a style stores; callers use only the API's types
    carrito: CarritoClient
    completions: CompletionNotifier

    @classmethod
    def current(cls) -> Self:
        """Return the current app's."""
        api: Self = current_app.extensions[EXTENSION]
        return api


def add_sagas(
    app: ServiceApp, sagas: Sagas[NewSagaT, SagaT, HistoryT], settings: SagaServiceSettings, carrito_url: str
) -> SagaApi:
    """Give the app its `SagaApi`, and return it; connects to nothing until it is used."""
    changes = ChangeFeed(sagas, settings.watching_places, settings.most_wait_seconds)
    pattern = sagas.definition.saga_pattern
    api = app.extensions[EXTENSION] = SagaApi(
        SagaService(sagas, changes),
        CarritoClient(carrito_url, settings.service_token, pattern, settings.carrito_places),
        CompletionNotifier(url_of(settings), sagas.ends, settings.waiting_places),
    )
    app.extensions["state_metrics"].add(LiveSagas(sagas.tables, pattern))
    if sagas.tables.outbox is not None:
        app.extensions["state_metrics"].add(OutboxMetrics(sagas.tables.database, sagas.tables.outbox))
    return api
