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
LOOKED_AT = frozenset({"text/html", "text/event-stream"})  # the types of answers that people look at
_preparing = threading.Lock()  # two concurrent starts would create the same products


def install(app: Flask, settings: Settings) -> None:
    """Add the load to the app; it is off until somebody starts it."""
    shop = LoadShop(settings)
    driver = LoadDriver(shop.send)
    app.extensions["load"] = (shop, driver)
    app.extensions["on_stop"].append(partial(driver.stop, "the dashboard ends"))
    app.register_blueprint(routes)


@routes.after_app_request
def seen(response: Response) -> Response:
    """Count any page and any stream as somebody who watches the load."""
    if response.status_code == 200 and response.mimetype in LOOKED_AT and browsers.is_of_own_page():
        _load()[1].seen()
    return response


@routes.get("/load")
def load() -> Response:
    """Show the present load."""
    return _page()


@routes.post("/load")
def act() -> Answer:
    """Start, change or stop the load, by the form's button; 422 for anything else."""
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
    """Start or change the load; for an invalid plan or a refusal, show the page again with the reason."""
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
