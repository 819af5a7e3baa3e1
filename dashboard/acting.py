"""What an operator can do on a saga's page: compensate the saga, or have it retried.

Each action has a page that shows beforehand what it will do, with fields for a reason and a name. Requests of other
sites' pages are refused before they get here (`shared/http/browsers.py`).
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, abort, redirect
from werkzeug.wrappers import Response as Answer

from dashboard import pages
from dashboard.operator_form import EMPTY, keep_token, reason_and_name, refused, token, typed_token
from dashboard.services import Services, services
from dashboard.styles import STYLES, Style
from dashboard.web import html
from dashboard.words import service_of, step_name
from shared.saga.states import ENDED

routes = Blueprint("acting", __name__)

PATH = '/sagas/<any(orchestrated,choreographed):style>/<uuid:saga_id>/<any("compensate","retry"):action>'
UNTOUCHED = frozenset({"pending", "skipped"})  # statuses of steps that have nothing to compensate, as far as is known


@routes.get(PATH)
def preview(style: str, saga_id: UUID, action: str) -> Response:
    """Show what would be done, and the form for it; 409 when there is nothing to do."""
    return _form(_saga(services(), STYLES[style], saga_id), action, EMPTY)


@routes.post(PATH)
def act(style: str, saga_id: UUID, action: str) -> Answer:
    """Have it done; when the service refuses, show the form again with the reason."""
    values, typed = reason_and_name(), typed_token()
    reply = services().ask(STYLES[style], str(saga_id), action, values, typed or token())
    if reply.status == 202:
        return keep_token(redirect(f"/sagas/{style}/{saga_id}", 303), typed)
    saga = _saga(services(), STYLES[style], saga_id)
    return _form(saga, action, {**values, **refused(reply, typed or token())}, reply.status)


def possible(saga: Mapping[str, Any]) -> list[str]:
    """What can be done with a saga in its present state."""
    return [*([] if saga["turned_back"] else ["compensate"]), *([] if saga["status"] in ENDED else ["retry"])]


def plan(saga: Mapping[str, Any], action: str) -> list[str]:
    """List what will be done, in order."""
    if action == "retry":
        orchestrated = saga["saga_pattern"] == "orchestrated"
        return ["The request that waits is made again now." if orchestrated else "Its latest events are sent again."]
    touched = [step["name"] for step in saga["steps"] if step["status"] not in UNTOUCHED]
    names = [*reversed(touched), "read_cart"]
    return [f"{step_name(name, compensation=True)} ({service_of({}, name)})" for name in names]


def _saga(source: Services, style: Style, saga_id: UUID) -> Mapping[str, Any]:
    saga = source.saga_alone(style, str(saga_id))
    if saga is None:
        abort(404, f"There is no {style.name} saga {saga_id}.")
    return saga


def _form(saga: Mapping[str, Any], action: str, values: Mapping[str, Any], status: int = 200) -> Response:
    """Show the form, or a page that says that there is nothing to do in the saga's state (409 instead of 200)."""
    if action in possible(saga):
        return html(pages.confirm_page(saga, action, plan(saga, action), values), status)
    return html(pages.nothing_to_do_page(saga, action, str(values.get("error") or "")), max(status, 409))
