"""What the routes of a saga service find in its app's extensions."""

from typing import Any

from shared.config import SagaServiceSettings
from shared.database.connections import url_of
from shared.http.long_poll import CompletionNotifier
from shared.http.service_app import ServiceApp
from shared.saga.carrito_client import CarritoClient
from shared.saga.changes import ChangeFeed
from shared.saga.metrics import LiveSagas
from shared.saga.port import Sagas
from shared.saga.service import CoalescedService


def add_sagas(app: ServiceApp, sagas: Sagas[Any, Any, Any], settings: SagaServiceSettings, carrito_url: str) -> None:
    """Give the app what `routes.py` uses; connects to nothing until it is used."""
    pattern = sagas.definition.saga_pattern
    app.extensions["saga_service"] = CoalescedService(sagas)
    app.extensions["carrito_client"] = CarritoClient(
        carrito_url, settings.service_token, pattern, settings.carrito_places
    )
    app.extensions["completions"] = CompletionNotifier(url_of(settings), sagas.ends, settings.waiting_places)
    app.extensions["changes"] = ChangeFeed(sagas, settings.watching_places, settings.most_wait_seconds)
    app.extensions["metrics"].register(LiveSagas(sagas.tables))
