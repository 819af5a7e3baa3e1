"""The same checkout in both styles with one click, and the two sagas beside each other on one scale of time."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as Answer

from dashboard import pages
from dashboard.asking import Refused
from dashboard.reading import STYLES, services
from dashboard.web import html, now
from dashboard.words import METHODS

routes = Blueprint("comparing", __name__)

ADDRESS = "1 High Street"  # no more than what a checkout wants of one
DEFAULTS = {"product": "", "quantity": "1", "method": "credit_card", "user": "ana"}


@routes.get("/compare")
def choose() -> Response:
    """What to check out; nothing has been begun yet."""
    return _form({name: request.args.get(name, default) for name, default in DEFAULTS.items()})


@routes.post("/compare")
def begin() -> Answer:
    """Begin it in both styles, one directly after the other; the form again when a service refuses."""
    wanted = {name: request.form.get(name, default).strip() for name, default in DEFAULTS.items()}
    if not wanted["product"].isdecimal() or not wanted["quantity"].isdecimal():
        return _form(wanted, "Choose a product, and how many of it.", 422)
    lines = {"product_id": int(wanted["product"]), "quantity": int(wanted["quantity"])}
    try:
        # Both carts first, so that the second saga begins as soon after the first as can be.
        carts = [services().fill_cart(wanted["user"], lines) for _ in STYLES]
        sagas = [
            services().check_out(style, cart_id, wanted["user"], wanted["method"], ADDRESS)
            for style, cart_id in zip(STYLES, carts, strict=True)
        ]
    except Refused as error:
        return _form(wanted, str(error), error.status)
    return redirect("/compare/{}/{}".format(*sagas), 303)


@routes.get("/compare/<uuid:orchestrated>/<uuid:choreographed>")
def compare(orchestrated: UUID, choreographed: UUID) -> Response:
    """Both, while they run and afterwards; one that is not known yet is waited for."""
    ids = {"orchestrated": str(orchestrated), "choreographed": str(choreographed)}
    found = [services().story(STYLES[style], saga_id) for style, saga_id in ids.items()]
    return html(pages.compare_page(ids, found, now()))


def _form(wanted: Mapping[str, Any], error: str = "", status: int = 200) -> Response:
    markup = pages.compare_form(services().products(), wanted, METHODS, error)
    return html(markup, status)
