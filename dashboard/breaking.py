"""Fault switches over HTTP, for operators: shows them, and switches them on and off."""

from flask import Blueprint, Response, abort, redirect, request
from werkzeug.wrappers import Response as Answer

from dashboard import pages
from dashboard.faults import EFFECTS, PARTICIPANTS, Json, Participant, request_of
from dashboard.operator_form import token
from dashboard.service_client import Failure, Refused, TokenNeeded, Unreachable, known
from dashboard.services import services
from dashboard.web import html, now

routes = Blueprint("breaking", __name__)

AT = f"/faults/<any({','.join(PARTICIPANTS)}):service>"


@routes.get("/faults")
def faults() -> Response:
    """Show the switched-on faults of each service, and those that happened to sagas."""
    return _page("")


@routes.post(AT)
def switch_on(service: str) -> Answer:
    """Switch on the fault of the form; for an invalid form, show the page again with the reason."""
    name = _named()
    try:
        body = request_of(request.form)
    except ValueError:
        return _page("How often, and how many milliseconds, are whole numbers.", 422)
    return _switch(service, name, body)


@routes.post(f"{AT}/off")
def switch_off(service: str) -> Answer:
    """Switch one fault off."""
    return _switch(service, _named(), None)


def _named() -> str:
    name = request.form.get("name", "")
    if name not in EFFECTS:
        abort(404, "There is no such fault.")
    return name


def _switch(service: str, name: str, body: Json | None) -> Answer:
    """Switch it, and show the page; without the needed token, 401 with a form for it."""
    try:
        services().switch_fault(service, name, body, token())
    except TokenNeeded:
        return html(pages.token_page("/faults", was_wrong=bool(token())), 401)
    except Refused as error:
        return _page(str(error), error.status)
    except Unreachable as error:
        return _page(f"{error}. It may have been switched all the same.", 503)
    return redirect("/faults", 303)


def _participant(service: str, found: Json | Failure) -> Participant:
    if isinstance(found, Refused) and found.status != 404:  # without FAULTS=true there is no such page
        raise found
    return Participant(service, known(found), is_off=isinstance(found, Refused))


def _page(error: str, status: int = 200) -> Response:
    told = services().faults(PARTICIPANTS, token())
    found = [_participant(*each) for each in zip(PARTICIPANTS, told, strict=True)]
    return html(pages.faults_page(found, error, now()), status)
