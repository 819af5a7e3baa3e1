"""The web application: `gunicorn pagos.app:app`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if not __package__:  # imported from inside this folder: `cd pagos && python -c "from app import db; …"`
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pagos.audit import audit
from pagos.commands import commands
from pagos.config import Settings
from pagos.models import db, fault_store, outbox
from pagos.purges import PURGES
from pagos.routes import routes
from shared.fault_switches.setup import add_faults
from shared.http.service_app import ServiceApp, create_service_app
from shared.messaging.metrics import OutboxMetrics
from shared.purging.metrics import PurgeMetrics
from shared.rabbitmq import rabbitmq_check
from shared.saga.command_routes import command_routes
from shared.saga.standing import Standing

if TYPE_CHECKING:
    app: ServiceApp

__all__ = ["app", "create_app", "db"]


def create_app(settings: Settings) -> ServiceApp:
    """Make the app for these settings; it connects to nothing until it is used."""
    service_app = create_service_app(db, settings, routes, audit, rabbitmq_check(settings))
    if settings.faults:
        add_faults(service_app, db, fault_store)
    service_app.register_api(command_routes(commands))
    service_app.extensions["standing"] = Standing(settings.carrito_service_url, settings.service_token)
    service_app.extensions["state_metrics"].add(PurgeMetrics(db, PURGES, settings))
    service_app.extensions["state_metrics"].add(OutboxMetrics(db, outbox))
    return service_app


def __getattr__(name: str) -> ServiceApp:
    """Make `app` when it is first used, so that importing this module does nothing."""
    if name != "app":
        raise AttributeError(name)
    globals()["app"] = create_app(Settings())
    return globals()["app"]  # type: ignore[no-any-return]
