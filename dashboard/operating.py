"""The list of what operators did to all sagas; and where a viewer gives and drops the operator's token."""

from urllib.parse import urlsplit
from uuid import UUID

from flask import Blueprint, Response, abort, current_app, redirect, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as Answer

from dashboard import pages
from dashboard.operator_form import forget_token, keep_token, token, typed_token
from dashboard.service_client import TokenNeeded
from dashboard.services import services
from dashboard.web import NO_ID, html, now

routes = Blueprint("operating", __name__)


@routes.get("/operations")
def operations() -> Response:
    """Show who requested what, why and when, for both styles; the latest first."""
    try:
        before = str(UUID(request.args["before"])) if request.args.get("before") else ""
    except ValueError:
        abort(404, NO_ID)
    found = services().operations(before, token())
    return html(pages.operations_page(found, before, now(), is_operator=bool(token())))


@routes.post("/operator")
def operator() -> Answer:
    """Keep the typed token if a service accepts it, and redirect to the page that needed it."""
    then = _within(request.form.get("next", "/"))
    try:
        typed = typed_token()
        services().require_operator(typed)
    except TokenNeeded:
        return html(pages.token_page(then, was_wrong=True), 401)
    return keep_token(redirect(then, 303), typed)


@routes.post("/operator/end")
def log_out() -> Answer:
    """End the operator's session here and in the browser."""
    return forget_token(redirect("/", 303))


def _within(wanted: str) -> str:
    """Return the path and query of an address if they are those of a dashboard page, else `/`."""
    try:
        parts = urlsplit(wanted)
        path = f"/{parts.path.lstrip('/')}"
        current_app.url_map.bind("").match(path, method="GET")
    except (ValueError, HTTPException):  # brackets that hold no address, or no page
        return "/"
    return path + (f"?{parts.query}" if parts.query else "")
