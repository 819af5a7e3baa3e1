"""Compares the styles over HTTP: begins the same checkout in both, and shows both sagas on one scale of time."""

from uuid import UUID

from flask import Blueprint, Response, abort, redirect, request
from werkzeug.wrappers import Response as Answer

from dashboard import pages
from dashboard.choices import Choices
from dashboard.config import Settings
from dashboard.operator_form import token
from dashboard.service_client import Refused, TokenNeeded, Unreachable
from dashboard.services import services
from dashboard.styles import STYLES
from dashboard.web import html, now
from shared.ids import made_at

routes = Blueprint("comparing", __name__)

YOUNG_SECONDS = 60.0  # many times what it takes until a saga service knows of a checkout


class OnlyOne(Exception):
    """The checkout in the first style has begun; the one in the second has not, or this is unknown."""

    def __init__(self, style: str, saga_id: str, why: Exception) -> None:
        super().__init__(str(why) or "it is for operators")
        self.style, self.saga_id = style, saga_id
        self.status = why.status if isinstance(why, Refused) else 401 if isinstance(why, TokenNeeded) else 503


@routes.get("/compare")
def choose() -> Response:
    """Show the form with which to choose a checkout."""
    return _form(Choices.of(request.args))


@routes.post("/compare")
def begin() -> Answer:
    """Begin it in both styles, one directly after the other; when a service refuses, show the form again."""
    wanted = Choices.of(request.form)
    try:
        wanted.check(request.form)
        sagas = _begin(wanted)
    except OnlyOne as error:
        return html(pages.one_begun_page(error.style, error.saga_id, str(error), wanted), error.status)
    except ValueError as error:
        return _form(wanted, str(error), 422)
    except Refused as error:
        return _form(wanted, str(error), error.status)
    except TokenNeeded:  # only operators may name faults
        return html(pages.token_page(f"/compare{wanted.query}", was_wrong=bool(token())), 401)
    return redirect("/compare/{}/{}".format(*sagas) + wanted.query, 303)


@routes.get("/compare/<uuid:orchestrated>/<uuid:choreographed>")
def compare(orchestrated: UUID, choreographed: UUID) -> Response:
    """Show both sagas, while they run and afterwards; one that its service does not know yet may still come."""
    if orchestrated == choreographed:
        abort(404, "A comparison is of two sagas, one of each style; this is one id twice.")
    ids = {"orchestrated": str(orchestrated), "choreographed": str(choreographed)}
    found = services().stories(ids)
    for (style, saga_id), story in zip(ids.items(), found, strict=True):
        if story is None and not _is_young(UUID(saga_id)):
            abort(404, f"There is no {style} saga {saga_id}. Is it one of the other style?")
    return html(pages.compare_page(ids, found, Choices.of(request.args), now()))


def _is_young(saga_id: UUID) -> bool:
    """Whether a saga with this id may be so new that its service does not know it yet."""
    made = made_at(saga_id)
    return made is not None and abs((now() - made).total_seconds()) < YOUNG_SECONDS


def _begin(wanted: Choices) -> list[str]:
    """Begin both checkouts; return the ids of their sagas.

    Raises `ValueError` for choices that make no sense, the error of the first checkout, and `OnlyOne`.
    """
    items, fault, source = wanted.items, wanted.header, services()
    # Both carts first, so that the second saga begins as soon as possible after the first.
    carts = [source.fill_cart(wanted.user, items) for _ in STYLES]
    customer = {"user_id": wanted.user, "payment_method": wanted.method}
    begun: list[str] = []
    for style, cart_id in zip(STYLES, carts, strict=True):
        try:
            begun.append(source.check_out(cart_id, style, customer, fault, token()))
        except (Refused, TokenNeeded, Unreachable) as error:
            if not begun:
                raise
            raise OnlyOne(next(iter(STYLES)), begun[0], error) from error
    return begun


def _form(wanted: Choices, error: str = "", status: int = 200) -> Response:
    source = services()
    can_fail = source.have_faults(token())
    markup = pages.compare_form(source.products(), wanted, Settings.current().currency, can_fail=can_fail, error=error)
    return html(markup, status)
