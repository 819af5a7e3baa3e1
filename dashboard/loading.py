"""The steady load over HTTP: everybody sees it, operators start, change and stop it."""

import threading
from functools import partial
from typing import cast

from flask import Blueprint, Flask, Response, current_app, redirect, request
from werkzeug.wrappers import Response as Answer

from dashboard import pages
from dashboard.config import Settings
from dashboard.load_driver import LoadDriver
from dashboard.load_plan import LoadPlan
from dashboard.load_shop import LoadShop
from dashboard.operator_form import token
from dashboard.service_client import Refused, Unreachable
from dashboard.services import services
from dashboard.web import html, now
from shared.http import browsers

routes = Blueprint("loading", __name__)

STOPPED = "somebody stopped it"
LOOKED_AT = frozenset({"text/html", "text/event-stream"})  # what is given to people; the rest is for programs
_preparing = threading.Lock()  # two who start at once would make the same products


def install(app: Flask, settings: Settings) -> None:
    """Give the app its one load, off until somebody starts it."""
    shop = LoadShop(settings)
    driver = LoadDriver(shop.send)
    app.extensions["load"] = (shop, driver)
    app.extensions["on_stop"].append(partial(driver.stop, "the dashboard ends"))
    app.register_blueprint(routes)


@routes.after_app_request
def seen(response: Response) -> Response:
    """Who was shown any page, or is told of changes, may be watching what the load does."""
    if response.status_code == 200 and response.mimetype in LOOKED_AT and browsers.is_of_own_page():
        _load()[1].seen()
    return response


@routes.get("/load")
def load() -> Response:
    """What the load does now."""
    return _page()


@routes.post("/load")
def act() -> Answer:
    """Start it, change it, or stop it, as the form's button says; 422 for what is none of them."""
    stops = request.form.get("do") == "stop"
    try:
        services().require_operator(token())
    except Unreachable:
        if not stops:
            raise  # whoever could make it quieter may do so without a token
    if stops:
        _load()[1].stop(STOPPED)
        return redirect("/load", 303)
    return _run()


def _run() -> Answer:
    """Start it or change it; the page again when it makes no sense or a service refuses, with why."""
    shop, driver = _load()
    try:
        if request.form.get("do") != "run":
            raise ValueError("The form says whether the load is to run or to stop; nothing was changed.")
        plan = LoadPlan.of(request.form)
        with _preparing:
            driver.run(plan, shop.prepare(plan, token()))
    except ValueError as error:
        return _page(str(error), 422)
    except Refused as error:
        return _page(str(error), error.status)
    return redirect("/load", 303)


def _page(error: str = "", status: int = 200) -> Response:
    return html(pages.load_page(_load()[1].state(), error, now()), status)


def _load() -> tuple[LoadShop, LoadDriver]:
    return cast("tuple[LoadShop, LoadDriver]", current_app.extensions["load"])
