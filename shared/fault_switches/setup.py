"""Adds fault switches to a service's app: to its endpoints, its commands, and as `/faults`."""

from flask_openapi import OpenAPI

from shared.database.connections import Database
from shared.fault_switches import http
from shared.fault_switches.commands import EXTENSION, CommandFaults
from shared.fault_switches.injector import Injector
from shared.fault_switches.routes import fault_routes
from shared.fault_switches.steps import ENDPOINTS
from shared.fault_switches.store import FaultStore


def add_faults(app: OpenAPI, db: Database, store: FaultStore) -> None:
    """Add fault switches to the app of a participant."""
    endpoints = ENDPOINTS[db.service]
    injector = Injector(db, store)
    http.install(app, injector, {path.replace("{", "<").replace("}", ">"): half for path, half in endpoints.items()})
    app.extensions[EXTENSION] = CommandFaults(injector, endpoints)
    app.register_api(fault_routes(db, store))
