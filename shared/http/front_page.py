"""`GET /` of each service: what it is, and where its pages are."""

from collections.abc import Mapping

from flask import Response
from flask_openapi import OpenAPI

from shared import VERSION
from shared.http.access import public
from shared.http.answers import Answer, respond

LINKS: Mapping[str, str] = {
    "documentation": "/openapi/",
    "openapi": "/openapi/openapi.json",
    "health": "/health",
    "metrics": "/metrics",
    "audit": "/audit",
}
_OBJECT = {"description": "OK", "content": {"application/json": {"schema": {"type": "object"}}}}


def add_front_page(app: OpenAPI, service: str, about: str) -> None:
    """Add it to a service's app; `about` is a sentence about the service."""
    answer = Answer({"service": service, "about": about, "version": VERSION, "links": LINKS})

    @app.get("/", summary="What this service is, and where its pages are", responses={200: _OBJECT})
    @public
    def front_page() -> Response:
        return respond(answer)
