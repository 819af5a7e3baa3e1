"""Makes a service's app suffer faults: its endpoints, its commands, and `/faults` to switch them."""

from flask_openapi import OpenAPI

from shared.database.connections import Database
from shared.fault_switches import http
from shared.fault_switches.commands import EXTENSION, CommandFaults
from shared.fault_switches.injector import Injector
from shared.fault_switches.routes import fault_routes
from shared.fault_switches.steps import ENDPOINTS
from shared.fault_switches.store import FaultStore


def add_faults(app: OpenAPI, db: Database, store: FaultStore) -> None:
    """For a service that does steps of sagas."""
    endpoints = ENDPOINTS[db.service]
    injector = Injector(db, store)
    http.install(app, injector, {path.replace("{", "<").replace("}", ">"): half for path, half in endpoints.items()})
    app.extensions[EXTENSION] = CommandFaults(injector, endpoints)
    app.register_api(fault_routes(db, store))
