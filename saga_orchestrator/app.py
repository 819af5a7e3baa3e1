"""The web application: `gunicorn saga_orchestrator.app:app`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if not __package__:  # imported from inside this folder: `cd saga_orchestrator && python -c "from app import db; …"`
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from saga_orchestrator.audit import audit
from saga_orchestrator.coalesced_service import CoalescedService
from saga_orchestrator.config import Settings
from saga_orchestrator.metrics import LiveSagas
from saga_orchestrator.models import db
from saga_orchestrator.purges import PURGES
from saga_orchestrator.routes import routes
from saga_orchestrator.runtime.store import ENDS
from saga_orchestrator.source import SOURCE
from shared.http.carrito_client import CarritoClient
from shared.http.long_poll import CompletionNotifier
from shared.http.service_app import ServiceApp, create_service_app
from shared.purging.metrics import PurgeMetrics
from shared.saga.changes import ChangeFeed

if TYPE_CHECKING:
    app: ServiceApp

__all__ = ["app", "create_app", "db"]


def create_app(settings: Settings) -> ServiceApp:
    """The app for these settings; connects to nothing until it is used."""
    service_app = create_service_app(db, settings, routes, audit, {})
    service_app.config["MOST_WAIT"] = settings.most_wait_seconds
    service_app.extensions["coalesced_service"] = CoalescedService(settings.forward_deadline_seconds)
    service_app.extensions["carrito_client"] = CarritoClient(
        settings.carrito_service_url, settings.service_token, "orchestrated", settings.carrito_places
    )
    service_app.extensions["completions"] = CompletionNotifier(settings.database_url, ENDS, settings.waiting_places)
    service_app.extensions["changes"] = ChangeFeed(SOURCE, settings.watching_places, settings.most_wait_seconds)
    service_app.extensions["metrics"].register(LiveSagas())
    service_app.extensions["metrics"].register(PurgeMetrics(db, PURGES, settings))
    return service_app


def __getattr__(name: str) -> ServiceApp:
    """`app` is made when it is first asked for, so that importing this module does nothing."""
    if name != "app":
        raise AttributeError(name)
    globals()["app"] = create_app(Settings())
    return globals()["app"]  # type: ignore[no-any-return]
