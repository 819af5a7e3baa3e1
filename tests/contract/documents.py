"""The services' OpenAPI documents, from apps that are connected to nothing."""

import importlib
import json
from functools import cache
from typing import Any

from shared.http.service_app import ServiceApp


@cache
def app_of(service: str, **given: object) -> ServiceApp:
    """Make the service's app with these settings; without a database, for what it answers without one."""
    nowhere = {f"{service.upper()}_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    settings = importlib.import_module(f"{service}.config").Settings(_env_file=None, **nowhere, **given)
    app: ServiceApp = importlib.import_module(f"{service}.app").create_app(settings)
    return app


def document_of(service: str) -> dict[str, Any]:
    """Return the document as it is served, with plain numbers."""
    found: dict[str, Any] = json.loads(app_of(service).test_client().get("/openapi/openapi.json").data)
    return found
