"""Dead letters over HTTP, for operators: shows what is parked and why, and has it delivered again.

Both use the same filter, which the service applies, so that a redrive reaches what no page lists.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, abort, redirect, request
from werkzeug.wrappers import Response as Answer

from dashboard import pages
from dashboard.letter_filter import AGES, LetterFilter
from dashboard.letters_and_faults import MOST_LETTERS
from dashboard.operator_form import EMPTY, keep_token, reason_and_name, refused, token, typed_token
from dashboard.parked import CONSUMERS, Parked, parked
from dashboard.service_client import Refused
from dashboard.services import services
from dashboard.web import NO_ID, html, now

routes = Blueprint("dead_letters", __name__)


@routes.get("/dead-letters")
def dead_letters() -> Response:
    """Show the parked messages with reasons and sagas, and the latest redrives."""
    return html(pages.dead_letters_page(_parked(), request.args.get("done", ""), now()))


@routes.get("/dead-letters/redrive")
def preview() -> Response:
    """Show what would be delivered again, and the form for it."""
    return html(pages.redrive_page(_parked(), EMPTY))


@routes.post("/dead-letters/redrive")
def act() -> Answer:
    """Have it delivered again; when the service refuses, show the form again with the reason."""
    values, typed = reason_and_name(), typed_token()
    chosen = _filter()
    reply = services().redrive({**values, **chosen.request(now())}, typed or token())
    if reply.status == 200:
        return keep_token(redirect(f"/dead-letters?done={reply.body['id']}", 303), typed)
    nothing: Mapping[str, Any] = {"items": [], "redrives": []}
    again = parked(nothing, chosen, MOST_LETTERS)
    return html(pages.redrive_page(again, {**values, **refused(reply, typed or token())}), reply.status)


def _filter() -> LetterFilter:
    """Parse the URL's filter; an invalid one is 404, so that nobody takes all letters for the filtered ones."""
    given = {field.name: request.args.get(field.name, "").strip() for field in fields(LetterFilter)}
    if given["service"] not in {"", *CONSUMERS} or given["older"] not in {"", *AGES}:
        abort(404, f"Messages come to {', '.join(CONSUMERS)}, and are {', '.join(AGES)} seconds old or older.")
    try:
        saga = str(UUID(given["saga"])) if given["saga"] else ""
    except ValueError:
        abort(404, NO_ID)
    return LetterFilter(**{**given, "saga": saga})


def _parked() -> Parked:
    chosen = _filter()
    try:
        page = services().dead_letters(chosen.request(now()), token())
    except Refused as error:
        if error.status != 422:
            raise
        abort(422, str(error))
    return parked(page, chosen, MOST_LETTERS)
