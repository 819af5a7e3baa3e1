"""Both definitions, as the services themselves show them (`GET …/definition`)."""

import json
from typing import Any

from tests.contract.documents import app_of

Json = dict[str, Any]
PATHS = {"saga_orchestrator": "/saga/definition", "saga_choreography": "/saga/choreography/definition"}


def definition_of(service: str) -> Json:
    """Return the steps and handlers of the saga that this service runs or shows."""
    found: Json = json.loads(app_of(service).test_client().get(PATHS[service]).data)
    return found
