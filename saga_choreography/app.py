"""The web application: `gunicorn saga_choreography.app:app`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if not __package__:  # imported from inside this folder: `cd saga_choreography && python -c "from app import db; …"`
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from saga_choreography.audit import audit
from saga_choreography.config import Settings
from saga_choreography.models import db
from saga_choreography.purges import PURGES
from saga_choreography.routes import routes
from saga_choreography.service import SAGAS
from shared.http.service_app import ServiceApp, create_service_app
from shared.purging.metrics import PurgeMetrics
from shared.rabbitmq import rabbitmq_check
from shared.saga.setup import add_sagas

if TYPE_CHECKING:
    app: ServiceApp

__all__ = ["app", "create_app", "db"]


def create_app(settings: Settings) -> ServiceApp:
    """Make the app for these settings; it connects to nothing until it is used."""
    service_app = create_service_app(db, settings, routes, audit, rabbitmq_check(settings))
    add_sagas(service_app, SAGAS, settings, settings.carrito_service_url)
    service_app.extensions["state_metrics"].add(PurgeMetrics(db, PURGES, settings))
    return service_app


def __getattr__(name: str) -> ServiceApp:
    """Make `app` when it is first used, so that importing this module does nothing."""
    if name != "app":
        raise AttributeError(name)
    globals()["app"] = create_app(Settings())
    return globals()["app"]  # type: ignore[no-any-return]
