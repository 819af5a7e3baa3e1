"""Dead letters over HTTP, for operators: what is parked and why, and having it delivered again.

A redrive is asked for by filter (service and event), so that it reaches what is parked beyond what a page lists.
"""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, abort, redirect, request
from werkzeug.wrappers import Response as Answer

from dashboard import pages
from dashboard.operator_form import EMPTY, keep_token, reason_and_name, refused, token, typed_token
from dashboard.parked import CONSUMERS, Parked, parked
from dashboard.reading import MOST_LETTERS, services
from dashboard.web import html, now

routes = Blueprint("dead_letters", __name__)


@routes.get("/dead-letters")
def dead_letters() -> Response:
    """What is parked, why, and whose saga it is of; and what redrives did."""
    return html(pages.dead_letters_page(_parked(), request.args.get("done", ""), now()))


@routes.get("/dead-letters/redrive")
def preview() -> Response:
    """What would be delivered again."""
    return html(pages.redrive_page(_parked(), EMPTY))


@routes.post("/dead-letters/redrive")
def act() -> Answer:
    """Have it delivered again; the form again when the service refuses, with its reason."""
    values, typed = reason_and_name(), typed_token()
    service, event = _filter()
    chosen = {name: value for name, value in (("service", service), ("event", event)) if value}
    reply = services().redrive({**values, **chosen}, typed or token())
    if reply.status == 200:
        return keep_token(redirect(f"/dead-letters?done={reply.body['id']}", 303), typed)
    nothing: Mapping[str, Any] = {"items": [], "redrives": []}
    again = parked(nothing, service, event, MOST_LETTERS)
    return html(pages.redrive_page(again, {**values, **refused(reply, typed or token())}), reply.status)


def _filter() -> tuple[str, str]:
    service, event = (request.args.get(name, "").strip() for name in ("service", "event"))
    if service not in {"", *CONSUMERS}:
        abort(404, f"Messages come to {', '.join(CONSUMERS)}.")
    return service, event


def _parked() -> Parked:
    service, event = _filter()
    return parked(services().dead_letters(service, token()), service, event, MOST_LETTERS)
