"""The dashboard over HTTP: read the request, read the services, make the page."""

import time
from dataclasses import fields
from functools import partial
from uuid import UUID

from flask import Blueprint, Response, abort, current_app, redirect, request
from werkzeug.wrappers import Response as Answer

from dashboard import pages
from dashboard.acting import possible
from dashboard.config import Settings
from dashboard.listing import Filters, StyleReading, listing
from dashboard.operator_form import token
from dashboard.service_client import Refused
from dashboard.services import services
from dashboard.shared_readings import SHARED_SECONDS, SharedReadings
from dashboard.streams import streams
from dashboard.styles import STYLES, Style
from dashboard.trends import trends
from dashboard.web import ID, NO_ID, html, now
from dashboard.words import STATUSES

routes = Blueprint("dashboard", __name__)


@routes.get("/")
def sagas() -> Response:
    """Show both styles side by side, and the list by the filters in the URL."""
    filters = _filters()
    after = streams().last_id()
    readings, samples = _readings(filters), trends().watched()
    return html(pages.sagas_page(listing(filters, readings, samples, time.monotonic()), now(), after))


@routes.get("/sagas/<style>/<uuid:saga_id>")
def saga(style: str, saga_id: UUID) -> Response:
    """Show one saga."""
    after = streams().last_id()
    found = services().saga(_style(style), str(saga_id))
    if found is None:
        abort(404, f"There is no {style} saga {saga_id}. It may be too new to be known yet, or long forgotten.")
    at = now()
    evidence = services().evidence(found[0], at, token())
    part, currency = request.args.get("from", type=int), Settings.current().currency
    shown = pages.Shown(possible(found[0]), part, after, evidence, currency)
    return html(pages.saga_page(*found, at, shown))


@routes.get("/search")
def search() -> Answer:
    """Redirect to the saga with this id, or whose cart or order has it; to the list when there are several."""
    wanted = request.args.get("id", "").strip()
    if not wanted:
        return redirect("/")
    try:
        found = services().find(str(UUID(wanted)))
    except ValueError:
        abort(404, f"{wanted[:100]!r} is no id. {ID}")
    if not found:
        abort(404, f"No saga, cart or order has the id {wanted}.")
    if len(found) == 1:
        return redirect("/sagas/{}/{}".format(*found[0]))
    return redirect("/" + Filters(cart=str(UUID(wanted))).query())


def _readings(filters: Filters) -> list[StyleReading]:
    """Read the front page's data. Viewers who know the same changes share a reading.

    Without a stream of changes, only concurrent requests share it.
    """
    shared: SharedReadings[tuple[tuple[int, ...], Filters], list[StyleReading]] = current_app.extensions["front"]
    seconds = SHARED_SECONDS if streams().is_followed() else 0.0
    try:
        return shared.get((streams().position(), filters), partial(services().sagas, filters), seconds)
    except Refused as error:
        abort(422, str(error))


def _filters() -> Filters:
    """Parse the URL's filters; invalid ones are 404, so that nobody takes the whole list for the filtered one."""
    given = {field.name: request.args.get(field.name, "").strip() for field in fields(Filters)}
    if given["style"] not in {"", *STYLES} or given["status"] not in {"", *STATUSES}:
        abort(404, "There is no such style or status.")
    try:
        ids = {name: str(UUID(given[name])) for name in ("cart", "order", "before") if given[name]}
    except ValueError:
        abort(404, NO_ID)
    return Filters(**{**given, **ids})


def _style(name: str) -> Style:
    if name not in STYLES:
        abort(404, "There are orchestrated and choreographed sagas.")
    return STYLES[name]
