"""What an operator can have done from a saga's page: undo it, or have it tried again.

Each is a page of its own that says beforehand what will be done, and asks why and by whom. Where the services want the
operator's token, it is asked for once and kept in a cookie that no script and no other site's page can use; the
dashboard has none of its own. Requests that other sites' pages make are refused before they come here
(`shared/browsers.py`).
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, abort, redirect, request
from werkzeug.wrappers import Response as Answer

from dashboard import pages
from dashboard.reading import STYLES, Services, Style, services
from dashboard.words import ENDED, service_of, step_name

routes = Blueprint("acting", __name__)

COOKIE = "operator_token"
PATH = '/sagas/<any(orchestrated,choreographed):style>/<uuid:saga_id>/<any("compensate","retry"):action>'
UNTOUCHED = frozenset({"pending", "skipped"})  # steps that a compensation has nothing to do with, as far as is known


@routes.get(PATH)
def preview(style: str, saga_id: UUID, action: str) -> Response:
    """What would be done."""
    return _form(_saga(services(), STYLES[style], saga_id), action, {"reason": "", "by": ""})


@routes.post(PATH)
def act(style: str, saga_id: UUID, action: str) -> Answer:
    """Have it done; the form again when the service refuses, with its reason."""
    values = {name: request.form.get(name, "").strip()[:200] for name in ("reason", "by")}
    typed = request.form.get("token", "").strip()
    used = typed or token()
    reply = services().ask(STYLES[style], str(saga_id), action, values, used)
    if reply.status == 202:
        return keep_token(redirect(f"/sagas/{style}/{saga_id}", 303), typed)
    saga = _saga(services(), STYLES[style], saga_id)
    return _form(saga, action, {**values, "error": why_refused(reply.status, reply.body, used)}, reply.status)


def token() -> str:
    """The operator's token that this viewer has given; empty without."""
    return request.cookies.get(COOKIE, "")


def keep_token(answer: Answer, typed: str) -> Answer:
    """The answer, with the token for this session of the browser if one was typed."""
    if typed:
        answer.set_cookie(COOKIE, typed, httponly=True, samesite="Strict", secure=request.is_secure)
    return answer


def possible(saga: Mapping[str, Any]) -> list[str]:
    """What can be asked for of a saga in its present state."""
    status = saga["status"]
    undo = [] if status in {"compensating", "compensated"} else ["compensate"]
    return [*undo, *([] if status in ENDED else ["retry"])]


def plan(saga: Mapping[str, Any], action: str) -> list[str]:
    """What will be done, in order."""
    if action == "retry":
        orchestrated = saga["saga_pattern"] == "orchestrated"
        return ["The request that waits is made again now." if orchestrated else "Its latest events are sent again."]
    touched = [step["name"] for step in saga["steps"] if step["status"] not in UNTOUCHED]
    names = [*reversed(touched), "read_cart"]
    return [f"{step_name(name, compensation=True)} ({service_of({}, name)})" for name in names]


def _saga(asked: Services, style: Style, saga_id: UUID) -> Mapping[str, Any]:
    saga = asked.saga_alone(style, str(saga_id))
    if saga is None:
        abort(404, f"There is no {style.name} saga {saga_id}.")
    return saga


def _form(saga: Mapping[str, Any], action: str, values: Mapping[str, Any], status: int = 200) -> Response:
    filled = {"error": "", "needs_token": status == 401, **values}
    markup = pages.confirm_page(saga, action, plan(saga, action), filled)
    return Response(markup, status, mimetype="text/html")


def why_refused(status: int, body: Mapping[str, Any], used: str) -> str:
    """The reason of a refusal, as a form shows it; `used` is the token that was sent, empty without."""
    if status == 401:
        return "That is not the operator's token." if used else "This needs the operator's token."
    return str(body.get("detail") or f"HTTP {status}")
